//! Untrusted bytes: whatever comes over a connection, or stands in a journal, gives a value or an error.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use live::journal;
use live::memory::PAGE;
use live::protocol::frame::{self, HEAD, Kind};
use live::protocol::pages::{Arrived, Decoder, Encoder, MOST_IN_BATCH};
use live::protocol::{Compression, Hello, Reply, Request};
use proptest::prelude::*;
use support::Bench;

fn decode(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    let mut rest = bytes;
    while decoder.read(&mut rest, "test").is_ok() {}
    let mut rest = bytes;
    while decoder.read_ahead(&mut rest, "test").is_ok() {}
    let _ = frame::read_message::<Request>(&mut &bytes[..], "test");
    let _ = frame::read_message::<Reply>(&mut &bytes[..], "test");
    let _ = frame::read_message::<Hello>(&mut &bytes[..], "test");
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        decode(&bytes);
    }

    /// With a right head, so that the bodies are looked at.
    #[test]
    fn any_body_is_understood_or_an_error(
        code in 1u8..8, body in proptest::collection::vec(any::<u8>(), 0..2000)
    ) {
        let mut bytes = vec![b'M', b'T', code, 0];
        bytes.extend((body.len() as u32).to_le_bytes());
        bytes.extend(&body);
        decode(&bytes);
    }

    /// What was sent arrives; with one byte changed, it is an error or something else, and no panic.
    #[test]
    fn pages_arrive_as_they_were_sent_or_not_at_all(
        numbers in proptest::collection::vec(any::<u32>(), 0..4),
        fill in any::<u8>(), random in any::<u64>(), way in 0usize..3, flip in any::<prop::sample::Index>()
    ) {
        let compression = [Compression::None, Compression::Lz4, Compression::Zstd][way];
        let contents: Vec<u8> = (0..numbers.len() * PAGE)
            .map(|at| if at % 3 == 0 { fill } else { (random.rotate_left(at as u32 % 64) & 0xFF) as u8 })
            .collect();
        let mut encoder = Encoder::new(compression);
        let sent = encoder.pages(&numbers, &contents).unwrap().to_vec();
        let mut decoder = Decoder::default();
        let arrived = decoder.read(&mut &sent[..], "test").unwrap();
        prop_assert_eq!(arrived, Arrived::Pages { numbers: numbers.clone(), contents: &contents });
        if compression == Compression::None {
            let head = encoder.announcement(&numbers).to_vec();
            prop_assert_eq!(&head[..], &sent[..head.len()]);
            let mut rest = &sent[..];
            let announced = decoder.read_ahead(&mut rest, "test").unwrap();
            prop_assert_eq!(announced, Arrived::Announced { numbers: numbers.clone() });
            prop_assert_eq!(rest, &contents[..]);
        }
        let mut changed = sent.clone();
        let at = flip.index(changed.len());
        changed[at] ^= 0x41;
        decode(&changed);
    }

    #[test]
    fn any_text_is_a_journal_or_an_error(text in "\\PC{0,300}") {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text + "\n").unwrap();
        if let Ok(lines) = journal::read(file.path()) {
            let _ = journal::replay(file.path(), &lines);
        }
    }
}

#[test]
fn a_frame_says_no_more_than_its_kind_allows() {
    for (code, kind) in [(1, Kind::Control), (2, Kind::Plain), (6, Kind::Barrier)] {
        let mut head = [b'M', b'T', code, 0, 0, 0, 0, 0];
        head[4..].copy_from_slice(&(kind.limit() as u32).to_le_bytes());
        assert_eq!(frame::parse_head(head).unwrap(), (kind, kind.limit()));
        head[4..].copy_from_slice(&(kind.limit() as u32 + 1).to_le_bytes());
        assert!(frame::parse_head(head).is_err());
    }
    let most = vec![7; MOST_IN_BATCH * PAGE];
    let numbers: Vec<u32> = (0..MOST_IN_BATCH as u32).collect();
    let frame = Encoder::new(Compression::None).pages(&numbers, &most).unwrap().len();
    assert!(frame - HEAD <= Kind::Plain.limit(), "a full batch fits");
}

/// An agent that is talked to by who knows nothing of it goes on serving those who do.
#[test]
fn noise_is_shut_out_and_does_no_harm() {
    let bench = Bench::new();
    let a = bench.host("a");
    let control = br#"{"version":1,"name":"operator","purpose":"Control"}"#;
    let mut plain_control = vec![b'M', b'T', 1, 0];
    plain_control.extend((control.len() as u32).to_le_bytes());
    plain_control.extend(control);
    let unknown =
        br#"{"version":1,"name":"x","purpose":{"Pages":{"token":"00000000000000000000000000000000"}}}"#;
    let mut unknown_pages = vec![b'M', b'T', 1, 0];
    unknown_pages.extend((unknown.len() as u32).to_le_bytes());
    unknown_pages.extend(unknown);
    for noise in [b"GET / HTTP/1.0\r\n\r\n".to_vec(), vec![0x16; 4000], plain_control, unknown_pages] {
        let mut socket = TcpStream::connect(&a.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The agent may close before all is written.
        let _ = socket.write_all(&noise);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("Welcome"), "nothing is told");
    }
    assert_eq!(bench.client(&a.address).describe().unwrap().name, "a");
}

#[test]
fn a_journal_that_was_tampered_with_does_not_replay() {
    let bench = Bench::new();
    let (a, b) = (bench.host("a"), bench.host("b"));
    let mut client = bench.client(&a.address);
    client.create(support::busy("web")).unwrap();
    let order = support::request("web", &b, live::protocol::Sending::default());
    let (migrated, _) = support::migrate(&mut client, order).unwrap();
    let path = std::path::Path::new(&migrated.journal);
    let lines = journal::read(path).unwrap();
    let commands = lines.iter().filter(|line| matches!(line, journal::Entry::Wanted(_))).count();
    assert_eq!(journal::replay(path, &lines).unwrap().commands, commands);
    for left_out in 0..lines.len() - 1 {
        let mut less = lines.clone();
        less.remove(left_out);
        assert!(journal::replay(path, &less).is_err(), "without line {}", left_out + 1);
    }
    // Cut off anywhere, as when its agent is killed, it is that migration at that moment.
    for end in 1..lines.len() - 1 {
        let replayed = journal::replay(path, &lines[..end]).unwrap();
        assert_eq!(replayed.outcome, None, "it goes on after line {end}");
    }
}
