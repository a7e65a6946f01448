//! Transports by name.

use models::transport::Transport;

use super::Entry;

pub(super) static TRANSPORTS: &[Entry<fn() -> Transport>] = &[
    Entry {
        name: "tcp",
        summary: "one TCP stream, 1500-byte frames; 0.58 core-s/GB to send, 0.625 to receive",
        source: "frames: IEEE 802.3; processor time: QEMU multifd measurements (sending includes the zero-page scan)",
        make: Transport::tcp,
    },
    Entry {
        name: "ideal",
        summary: "the network alone counts: no headers, no processor time, no limit per stream",
        source: "by definition; as in SimGrid and in the closed forms",
        make: Transport::ideal,
    },
];
