//! Quantities read as people write them, print as they are read, and say what is wrong.

use proptest::prelude::*;
use sim_core::{Bandwidth, ByteRate, Bytes, Span};

#[test]
fn usual_ways_of_writing_are_understood() {
    let bytes = |text: &str| text.parse::<Bytes>().unwrap().get();
    assert_eq!(bytes("8 GiB"), 8 << 30);
    assert_eq!(bytes("8GiB"), 8 << 30);
    assert_eq!(bytes(" 512 MB "), 512_000_000);
    assert_eq!(bytes("1.5 KiB"), 1536);
    assert_eq!(bytes("1_000 B"), 1000);
    let bits = |text: &str| text.parse::<Bandwidth>().unwrap().bits_per_sec();
    assert_eq!(bits("10 Gbit/s"), 10_000_000_000);
    assert_eq!(bits("10 Gbps"), 10_000_000_000);
    assert_eq!(bits("2.5 Gb/s"), 2_500_000_000);
    let nanos = |text: &str| text.parse::<Span>().unwrap().as_nanos();
    assert_eq!(nanos("300 ms"), 300_000_000);
    assert_eq!(nanos("1 h 30 min"), 5_400_000_000_000);
    assert_eq!(nanos("100 µs"), 100_000);
    assert_eq!("50 MB/s".parse::<ByteRate>().unwrap().bytes_per_sec(), 50_000_000);
}

#[test]
fn mistakes_are_answered_with_what_would_be_right() {
    let error = |text: &str| text.parse::<Bytes>().unwrap_err().to_string();
    assert_eq!(error("-4 GiB"), "`-4 GiB` is negative; a size is zero or more, like \"8 GiB\"");
    assert_eq!(error("lots"), "`lots` does not start with a number; write a size like \"8 GiB\"");
    assert!(error("8").contains("has no unit; a size is written in TiB, GiB"), "{}", error("8"));
    assert!(error("8 Gb").contains("(this is in bytes, with a capital B)"), "{}", error("8 Gb"));
    assert!(error("99999999999 TiB").contains("too large"));
    let bandwidth = "1 GB/s".parse::<Bandwidth>().unwrap_err().to_string();
    assert!(bandwidth.contains("1 GB/s is 8 Gbit/s"), "{bandwidth}");
    for text in ["", ".", "1.", "1..2 B", "1 GiB 2 MiB", "1e9 B", "٣ B", "0x10 B", &"9".repeat(100)] {
        assert!(text.parse::<Bytes>().is_err(), "{text:?} is no size");
    }
}

#[test]
fn printing_takes_the_largest_unit_that_is_exact() {
    assert_eq!(Bytes::from_gib(8).to_string(), "8 GiB");
    assert_eq!(Bytes::new(512_000_000).to_string(), "512 MB");
    assert_eq!(Bytes::new(1537).to_string(), "1.537 kB");
    assert_eq!(Bytes::ZERO.to_string(), "0 B");
    assert_eq!(Span::from_millis(1500).to_string(), "1.5 s");
    assert_eq!(Bandwidth::from_gbit(10).to_string(), "10 Gbit/s");
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same_value(value in any::<u64>()) {
        prop_assert_eq!(Bytes::new(value).to_string().parse(), Ok(Bytes::new(value)));
        prop_assert_eq!(Span::from_nanos(value).to_string().parse(), Ok(Span::from_nanos(value)));
        let bandwidth = Bandwidth::from_bits_per_sec(value);
        prop_assert_eq!(bandwidth.to_string().parse(), Ok(bandwidth));
        let rate = ByteRate::from_bytes_per_sec(value);
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = (text.parse::<Bytes>(), text.parse::<Span>(), text.parse::<Bandwidth>(), text.parse::<ByteRate>());
    }
}
