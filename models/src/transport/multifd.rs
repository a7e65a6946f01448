//! QEMU's multifd, and what compresses its streams.
//!
//! Each stream is a thread at either end, which also compresses what it sends (`multifd-compression`), whatever the
//! guests leave: a stream goes as fast as one core can compress and send. So does the older `compress`
//! capability, whose threads share one stream (`migration/ram.c`, up to QEMU 9.0).
//!
//! Costs, in core-seconds for 10^9 bytes of memory:
//!
//! | method | compress | unpack | source |
//! |---|---|---|---|
//! | `zstd` | 2.8 | 1.0 | QEMU, `qatzip-compression.rst`: 810 and 340 % for 54 GB in 20.17 s, less the network |
//! | `zlib` | 13.5 | 3.2 | the same, slower as in zstd's own benchmark (README: zstd 1.4.0 -1 530 and 1360 MB/s, zlib 1.2.11 -1 110 and 440) |
//! | `qatzip` | 0.38 | 0.89 | the same page: 160 and 360 % in 16.63 s; the device does the rest |
//! | `compress` threads | 36 | 9 | QEMU, `multi-thread-compression.txt`: 372 MB by 8 threads in 1.7 s; unpacking "at least 4 times as quick" |
//!
//! The network itself is the same page's row without compression: 10.85 Gbit/s by 0.45 cores to send and
//! 0.85 to receive. That is less than what `tcp` takes, which was measured with a search of pages for zeros:
//! pages with content are left at their first bytes that are not zero.

use super::{Compression, Method, Transport};

/// `multifd-channels`, QEMU's default.
const CHANNELS: u32 = 2;
/// `compress-threads`, QEMU's default.
const COMPRESS_THREADS: u32 = 8;
/// 24 Gbit/s a core.
const SEND: f64 = 1.0 / 3.0;
/// 12.8 Gbit/s a core.
const RECEIVE: f64 = 0.625;

impl Transport {
    /// Two streams that are not compressed.
    pub fn multifd() -> Transport {
        Transport {
            name: "multifd".into(),
            send_core_seconds_per_gb: SEND,
            receive_core_seconds_per_gb: RECEIVE,
            streams: CHANNELS,
            ..Transport::tcp()
        }
    }

    /// `multifd-compression zlib`.
    pub fn multifd_zlib() -> Transport {
        compressed("multifd-zlib", 13.5, 3.2)
    }

    /// `multifd-compression zstd`.
    pub fn multifd_zstd() -> Transport {
        compressed("multifd-zstd", 2.8, 1.0)
    }

    /// `multifd-compression qatzip`, with as many devices as it takes.
    pub fn multifd_qatzip() -> Transport {
        compressed("multifd-qatzip", 0.38, 0.89)
    }

    /// The `compress` capability: threads with zlib that do not depend on multifd.
    pub fn compress_threads() -> Transport {
        Transport { streams: COMPRESS_THREADS, ..compressed("compress-threads", 36.0, 9.0) }
    }
}

fn compressed(name: &str, compress: f64, decompress: f64) -> Transport {
    let costs =
        Compression { compress_core_seconds_per_gb: compress, decompress_core_seconds_per_gb: decompress };
    Transport { name: name.into(), method: Method::InStreams(costs), ..Transport::multifd() }
}
