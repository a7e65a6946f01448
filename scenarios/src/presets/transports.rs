//! Transports by name.

use models::transport::Transport;

use super::Entry;

const MULTIFD: &str = "QEMU, docs/devel/migration/qatzip-compression.rst";

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
        name: "multifd",
        summary: "QEMU's multifd, 2 channels: 0.33 core-s/GB to send, 0.625 to receive",
        source: MULTIFD,
        make: Transport::multifd,
    },
    Entry {
        name: "multifd-zlib",
        summary: "multifd, each channel a thread that compresses with zlib at 74 MB/s",
        source: "zstd's, slower by zstd's own benchmark (zlib 1.2.11 -1 beside zstd 1.4.0 -1)",
        make: Transport::multifd_zlib,
    },
    Entry {
        name: "multifd-zstd",
        summary: "multifd, each channel a thread that compresses with zstd at 355 MB/s",
        source: MULTIFD,
        make: Transport::multifd_zstd,
    },
    Entry {
        name: "multifd-qatzip",
        summary: "multifd, compressed by QuickAssist devices: 0.38 core-s/GB, and 0.89 to unpack",
        source: MULTIFD,
        make: Transport::multifd_qatzip,
    },
    Entry {
        name: "compress-threads",
        summary: "QEMU's compress capability, up to 9.0: 8 threads with zlib, 28 MB/s each",
        source: "QEMU, docs/multi-thread-compression.txt (Xeon E5-2680; pages one by one)",
        make: Transport::compress_threads,
    },
    Entry {
        name: "ideal",
        summary: "the network alone counts: no headers, no processor time, no limit per stream",
        source: "by definition; as in SimGrid and in the closed forms",
        make: Transport::ideal,
    },
];
