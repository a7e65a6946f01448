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
        name: "compression",
        summary: "TCP; compresses with the cores that guests leave, 2.8 core-s/GB, and 1.0 to unpack",
        source: "QEMU docs, QATzip (zstd); that only spare cores are used: Microsoft; Hyper-V's own cost: assumption",
        make: Transport::compression,
    },
    Entry {
        name: "smb",
        summary: "SMB Direct where both ends have RDMA, else 4 streams a card; all cards that are alike",
        source: "connections: Microsoft's SMB defaults; RDMA at 0.03 core-s/GB, TCP's costs without: assumption",
        make: Transport::smb,
    },
    Entry {
        name: "ideal",
        summary: "the network alone counts: no headers, no processor time, no limit per stream",
        source: "by definition; as in SimGrid and in the closed forms",
        make: Transport::ideal,
    },
];
