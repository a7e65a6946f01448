//! What recovery finds that is no order to either side: it says so, and changes nothing.

#![allow(clippy::unwrap_used)]

mod support;

use algorithms::handover::{Resolution, SourcePhase};
use live::LiveError;
use live::connection::Connection;
use live::ledger::{Entry, Standing};
use live::protocol::{HandOverAt, ReceiveRequest, Request};
use live::recover::{Finding, recover};
use live::token::Token;
use support::{Bench, busy, start};

/// The source gave the guest away to a destination that is still receiving it.
#[test]
fn a_destination_that_cannot_have_run_what_it_was_given_leaves_the_guest_in_doubt() {
    let bench = Bench::new();
    let (b, token) = (bench.host("b"), Token::new().unwrap());
    let options = bench.options("a");
    let (spec, peer) = (busy("web"), b.address.clone());
    let standing = Standing::Outgoing { token: token.clone(), peer, phase: SourcePhase::Committed };
    let entry =
        Entry { spec: spec.clone(), standing, arrived: vec![], lost: None, copies: vec![], leaving: vec![] };
    std::fs::create_dir_all(options.directory.join("guests")).unwrap();
    let path = options.directory.join("guests/web.json");
    std::fs::write(path, serde_json::to_vec(&entry).unwrap()).unwrap();
    let a = start(options);
    let mut control = Connection::control(&b.address, &bench.operator).unwrap();
    let (source, source_address) = ("a".to_string(), a.address.clone());
    let receive = ReceiveRequest {
        token: token.clone(),
        spec,
        moved: vec![],
        source,
        source_address,
        streams: 1,
        hand_over: HandOverAt::TheEnd,
    };
    control.order(&Request::Receive(Box::new(receive))).unwrap();

    let addresses = [a.address.clone(), b.address.clone()];
    for _ in 0..2 {
        let [found] = &recover(&addresses, &bench.operator).unwrap()[..] else { panic!("one is open") };
        assert_eq!((&*found.guest, &found.finding), ("web", &Finding::InDoubt));
        assert!(found.finding.needs_operator());
        assert!(found.finding.to_string().contains("an operator must say which goes on"));
    }
    // What it has found it cannot order either.
    for resolution in [Resolution::Lost, Resolution::InDoubt, Resolution::Both] {
        for address in &addresses {
            let mut connection = Connection::control(address, &bench.operator).unwrap();
            let told = connection.order(&Request::Settle { token: token.clone(), resolution }).unwrap_err();
            assert!(matches!(told, LiveError::Declined { .. }), "{told}");
            assert!(told.to_string().contains("is no order") && told.to_string().contains("web"), "{told}");
        }
    }
}
