//! Compression with what processor time the guests leave, and plain TCP with the rest.
//!
//! Hyper-V compresses only with spare processor time. Modelled so: of the memory that is sent, a
//! share is compressed, as large as the spare cores allow, and the rest goes as it is. With cores
//! to spare everything is compressed; with none it is plain TCP.

use serde::{Deserialize, Serialize};

/// What compressing costs, in core-seconds per 10^9 bytes of memory (before compression).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Compression {
    /// At the source, from its spare cores.
    pub compress_core_seconds_per_gb: f64,
    /// At the destination.
    pub decompress_core_seconds_per_gb: f64,
}

/// How many times smaller a guest's memory gets by compression; 1 = not at all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Compressibility(pub f64);

impl Default for Compressibility {
    /// 2.3: at least so much has the Silesia corpus in QEMU's `QATzip` document (46.06 s plain, 20.17 s
    /// by zstd on the same link); live guests were measured at 2.5 to 3.4.
    fn default() -> Compressibility {
        Compressibility(2.3)
    }
}

impl Compression {
    /// In software: zstd, 355 MB/s a core. QEMU's `QATzip` document has 8.1 cores to send and 3.4 to
    /// receive 54 GB in 20.17 s, 3.0 and 1.3 core-s/GB with the network stack; less that, 2.8 and 1.0.
    /// Which algorithm Hyper-V uses is not published (assumption: one of such cost).
    pub fn software() -> Compression {
        Compression { compress_core_seconds_per_gb: 2.8, decompress_core_seconds_per_gb: 1.0 }
    }

    /// The share of memory to compress, from 0 to 1, where plain memory would go at `plain` bytes per
    /// second and `spare` cores are there to compress.
    ///
    /// With x = what the cores compress a second, the rest of the line carries `plain` − x ÷ ratio, so that
    /// memory goes at `plain` + x · (1 − 1 ÷ ratio) in all.
    pub fn share(&self, plain: f64, spare: f64, Compressibility(ratio): Compressibility) -> f64 {
        if plain <= 0.0 || self.compress_core_seconds_per_gb <= 0.0 {
            return 1.0;
        }
        let compressed = spare * 1e9 / self.compress_core_seconds_per_gb;
        if compressed >= plain * ratio {
            return 1.0;
        }
        compressed / (plain + compressed * (1.0 - 1.0 / ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_compressed_with_cores_to_spare_and_nothing_without() {
        let (compression, half) = (Compression::software(), Compressibility(2.0));
        assert_eq!(compression.share(1.25e9, 16.0, half), 1.0);
        assert_eq!(compression.share(1.25e9, 0.0, half), 0.0);
    }

    #[test]
    fn in_between_line_and_cores_are_both_used_up() {
        let (compression, ratio) = (Compression::software(), Compressibility(2.5));
        let (plain, spare) = (1.25e9, 2.0);
        let share = compression.share(plain, spare, ratio);
        let rate = plain / (share / 2.5 + 1.0 - share);
        assert!((rate * share * 2.8e-9 - spare).abs() < 1e-9, "{share}");
        assert!(rate > plain);
    }
}
