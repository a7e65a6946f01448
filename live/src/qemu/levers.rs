//! What of QEMU's is set for a migration: capabilities and parameters, on both sides.
//!
//! Always on: `events`, which tells the passes, and `return-path`, without which the source takes for
//! sent what still sits in socket buffers. What the QEMU at hand does not have is an error that says so,
//! rather than a migration that silently does without.

use algorithms::policy::{PostCopyStart, Slowing};
use serde_json::{Map, Value, json};

use super::QemuError;
use super::qmp::Qmp;

pub use algorithms::levers::{Compression, QemuLevers as Levers};

/// Whether disks are mirrored, which QEMU's `pause-before-switchover` is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disks {
    Shared,
    Mirrored,
}

/// Sets `qmp` up: either side of a migration.
pub(super) fn set(levers: &Levers, qmp: &mut Qmp, disks: Disks) -> Result<(), QemuError> {
    let known = known_capabilities(qmp)?;
    let wanted = capabilities(levers, disks);
    if let Some(missing) = wanted.iter().find(|name| !known.iter().any(|known| known == *name)) {
        let [major, minor, _] = qmp.version();
        return Err(QemuError::Scenario(format!(
            "QEMU {major}.{minor} has no migration capability `{missing}`; it has: {}",
            known.join(", ")
        )));
    }
    let capabilities: Vec<Value> =
        wanted.iter().map(|name| json!({"capability": name, "state": true})).collect();
    qmp.execute("migrate-set-capabilities", json!({"capabilities": capabilities}))?;
    qmp.execute("migrate-set-parameters", Value::Object(parameters(levers)))?;
    Ok(())
}

fn capabilities(levers: &Levers, disks: Disks) -> Vec<&'static str> {
    let mut names = vec!["events", "return-path"];
    let mut add = |wanted: bool, name| {
        if wanted {
            names.push(name)
        }
    };
    add(matches!(levers.policy.slowing, Slowing::AutoConverge(_)), "auto-converge");
    add(levers.policy.post_copy != PostCopyStart::Never, "postcopy-ram");
    add(levers.multifd_channels.is_some(), "multifd");
    add(levers.policy.xbzrle.is_some(), "xbzrle");
    add(levers.compression == Compression::Threads, "compress");
    add(disks == Disks::Mirrored, "pause-before-switchover");
    names
}

fn parameters(levers: &Levers) -> Map<String, Value> {
    let mut parameters = Map::new();
    let mut set = |name: &str, value: Value| drop(parameters.insert(name.into(), value));
    // QEMU's limit is in bytes, and 0 is none.
    let limit = levers.policy.max_bandwidth.map_or(0, |limit| limit.bits_per_sec() / 8);
    set("max-bandwidth", limit.into());
    let millis = levers.policy.downtime_limit.as_nanos() / 1_000_000;
    set("downtime-limit", millis.min(LONGEST_DOWNTIME_LIMIT_MS).into());
    if levers.policy.post_copy != PostCopyStart::Never {
        let limit = levers.policy.max_postcopy_bandwidth.map_or(0, |limit| limit.bits_per_sec() / 8);
        set("max-postcopy-bandwidth", limit.into());
    }
    if let Slowing::AutoConverge(rules) = &levers.policy.slowing {
        set("throttle-trigger-threshold", rules.trigger_percent.into());
        set("cpu-throttle-initial", rules.initial_percent.into());
        set("cpu-throttle-increment", rules.increment_percent.into());
        set("max-cpu-throttle", rules.max_percent.into());
    }
    if let Some(channels) = levers.multifd_channels {
        set("multifd-channels", channels.into());
    }
    if let Some(xbzrle) = levers.policy.xbzrle {
        set("xbzrle-cache-size", xbzrle.cache.get().into());
    }
    match levers.compression {
        Compression::Zlib => set("multifd-compression", "zlib".into()),
        Compression::Zstd => set("multifd-compression", "zstd".into()),
        Compression::None | Compression::Threads => {}
    }
    parameters
}

/// `MAX_MIGRATE_DOWNTIME` of `migration/migration.c`: 2000 s.
const LONGEST_DOWNTIME_LIMIT_MS: u64 = 2_000_000;

/// Lets QEMU tolerate any pause: it then stops the guest at its next look.
pub(super) fn tolerate_any_pause(qmp: &mut Qmp) -> Result<(), QemuError> {
    qmp.execute("migrate-set-parameters", json!({"downtime-limit": LONGEST_DOWNTIME_LIMIT_MS}))?;
    Ok(())
}

fn known_capabilities(qmp: &mut Qmp) -> Result<Vec<String>, QemuError> {
    let answer = qmp.execute("query-migrate-capabilities", json!({}))?;
    let Some(list) = answer.as_array() else {
        return Err(qmp.unexpected("query-migrate-capabilities", &answer));
    };
    let names = list.iter().filter_map(|entry| entry.get("capability")?.as_str().map(String::from));
    Ok(names.collect())
}

#[cfg(test)]
mod tests {
    use algorithms::policy::{Qemu, Xbzrle};
    use sim_core::{Bandwidth, Bytes, Span};

    use super::*;

    #[test]
    fn units_are_those_of_qemu() {
        let policy = Qemu {
            downtime_limit: Span::from_millis(150),
            max_bandwidth: Some(Bandwidth::from_mbit(400)),
            ..Qemu::default()
        };
        let set = super::parameters(&Levers { policy, ..Levers::default() });
        assert_eq!(set["max-bandwidth"], 50_000_000, "bytes per second");
        assert_eq!(set["downtime-limit"], 150, "milliseconds");
        let unlimited =
            Qemu { max_bandwidth: None, downtime_limit: Span::from_secs(1 << 20), ..Qemu::default() };
        let set = super::parameters(&Levers { policy: unlimited, ..Levers::default() });
        assert_eq!(set["max-bandwidth"], 0);
        assert_eq!(set["downtime-limit"], LONGEST_DOWNTIME_LIMIT_MS);
    }

    #[test]
    fn the_policys_throttle_is_that_of_qemu() {
        let rules = algorithms::policy::AutoConverge { initial_percent: 40, ..Default::default() };
        let policy = Qemu { slowing: Slowing::AutoConverge(rules), ..Qemu::default() };
        let levers = Levers::of(policy);
        assert!(capabilities(&levers, Disks::Shared).contains(&"auto-converge"));
        let set = super::parameters(&levers);
        assert_eq!((&set["cpu-throttle-initial"], &set["cpu-throttle-increment"]), (&40.into(), &10.into()));
        let off = Levers::of(Qemu { slowing: Slowing::Off, ..Qemu::default() });
        assert!(!capabilities(&off, Disks::Shared).contains(&"auto-converge"));
        assert!(!super::parameters(&off).contains_key("cpu-throttle-initial"));
    }

    #[test]
    fn events_and_the_return_path_are_always_on() {
        assert_eq!(capabilities(&Levers::default(), Disks::Shared), ["events", "return-path"]);
        let policy = Qemu {
            slowing: Slowing::AutoConverge(algorithms::policy::AutoConverge::default()),
            post_copy: PostCopyStart::AfterPasses(1),
            xbzrle: Some(Xbzrle { cache: Bytes::from_mib(64), ..Xbzrle::default() }),
            ..Qemu::default()
        };
        let all = Levers { policy, multifd_channels: Some(4), compression: Compression::Threads };
        assert_eq!(super::parameters(&all)["xbzrle-cache-size"], 64 << 20);
        assert_eq!(capabilities(&all, Disks::Mirrored).len(), 8);
    }
}
