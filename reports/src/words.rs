//! The words that stand for the records' enums in frames, tables and pages.
//!
//! They are the same as in the JSON (a test holds them to that), so that a reader can search for
//! one word everywhere.

use algorithms::failures::FailurePoint;
use algorithms::measured::{Quantity, Subject};
use algorithms::policy::StopReason;
use algorithms::records::{
    EventKind, Level, MigrationKind, MigrationRecord, Origin, Outcome, ResourceKind, RoundPhase, Whereabouts,
};

pub(crate) const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Planned => "planned",
        Origin::Actual => "actual",
    }
}

pub(crate) const fn kind(kind: MigrationKind) -> &'static str {
    match kind {
        MigrationKind::Live => "live",
        MigrationKind::Storage => "storage",
        MigrationKind::SharedNothing => "shared_nothing",
        MigrationKind::Quick => "quick",
        MigrationKind::Stop => "stop",
        MigrationKind::Start => "start",
    }
}

pub(crate) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
        Outcome::Lost => "lost",
        Outcome::NotStarted => "not_started",
    }
}

/// Where a migration left the VM.
pub(crate) const fn whereabouts(whereabouts: Whereabouts) -> &'static str {
    match whereabouts {
        Whereabouts::AtSource => "at_source",
        Whereabouts::AtDestination => "at_destination",
        Whereabouts::Off => "off",
        Whereabouts::InDoubt => "in_doubt",
    }
}

/// Where a migration left the VM, where that is not what its outcome says by itself: for people.
pub(crate) fn where_left(record: &MigrationRecord) -> Option<String> {
    let unusual = record.whereabouts != record.outcome.whereabouts();
    unusual.then(|| format!("VM {}", spoken(whereabouts(record.whereabouts))))
}

/// Why the last round was the last.
pub(crate) const fn stop(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Converged => "converged",
        StopReason::RoundLimit => "round_limit",
        StopReason::SentLimit => "sent_limit",
        StopReason::RateLimit => "rate_limit",
        StopReason::Forced => "forced",
        StopReason::PostCopy => "post_copy",
        StopReason::DisksCopied => "disks_copied",
    }
}

pub(crate) const fn event_kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Note => "note",
        EventKind::Started => "started",
        EventKind::Ended => "ended",
        EventKind::NotMoved => "not_moved",
        EventKind::DiskProgress => "disk_progress",
        EventKind::Throttled => "throttled",
        EventKind::PausedByOthers => "paused_by_others",
        EventKind::InputRefused => "input_refused",
    }
}

/// How far a migration had come when it failed; rounds have their numbers.
pub(crate) fn failure_point(point: FailurePoint) -> String {
    match point {
        FailurePoint::Preparation => "preparation".into(),
        FailurePoint::Disks => "disks".into(),
        FailurePoint::Round(round) => format!("round {round}"),
        FailurePoint::Pause => "pause".into(),
        FailurePoint::CleanUp => "clean_up".into(),
    }
}

pub(crate) const fn phase(phase: RoundPhase) -> &'static str {
    match phase {
        RoundPhase::PreCopy => "pre_copy",
        RoundPhase::StopAndCopy => "stop_and_copy",
        RoundPhase::PostCopy => "post_copy",
    }
}

pub(crate) const fn resource_kind(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Link => "link",
        ResourceKind::Cpu => "cpu",
        ResourceKind::Disk => "disk",
        ResourceKind::Iops => "iops",
    }
}

/// The unit in which a resource's use and capacity are given.
pub(crate) const fn resource_unit(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Link => "bit/s",
        ResourceKind::Cpu => "cores",
        ResourceKind::Disk => "byte/s",
        ResourceKind::Iops => "operations/s",
    }
}

pub(crate) const fn level(level: Level) -> &'static str {
    match level {
        Level::Information => "information",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

/// A quantity as a person would say it.
pub(crate) const fn quantity(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Makespan => "makespan",
        Quantity::Started => "started",
        Quantity::Total => "total",
        Quantity::Blackout => "blackout",
        Quantity::MemoryBytesSent => "memory sent",
        Quantity::StorageBytesSent => "storage sent",
        Quantity::Rounds => "rounds",
    }
}

/// A subject as a person would say it.
pub(crate) fn subject(subject: &Subject) -> &str {
    match subject {
        Subject::Run => "(whole run)",
        Subject::Vm(name) => name,
    }
}

/// `pre_copy` becomes `pre-copy` and `not_started` `not started`: for people, not for programs.
pub(crate) fn spoken(word: &str) -> String {
    match word {
        "pre_copy" | "stop_and_copy" | "post_copy" => word.replace('_', "-"),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn json<T: serde::Serialize>(value: T) -> serde_json::Value {
        serde_json::to_value(value).unwrap()
    }

    #[test]
    fn words_are_those_of_the_json() {
        for each in [Origin::Planned, Origin::Actual] {
            assert_eq!(json(each), origin(each));
        }
        use Outcome::{Cancelled, Completed, Failed, Lost, NotStarted};
        for each in [Completed, Cancelled, Failed, Lost, NotStarted] {
            assert_eq!(json(each), outcome(each));
        }
        use Whereabouts::{AtDestination, AtSource, InDoubt, Off};
        for each in [AtSource, AtDestination, Off, InDoubt] {
            assert_eq!(json(each), whereabouts(each));
        }
        use StopReason::{Converged, DisksCopied, Forced, PostCopy, RateLimit, RoundLimit, SentLimit};
        for each in [Converged, RoundLimit, SentLimit, RateLimit, Forced, PostCopy, DisksCopied] {
            assert_eq!(json(each), stop(each));
        }
        use EventKind::{
            DiskProgress, Ended, InputRefused, NotMoved, Note, PausedByOthers, Started, Throttled,
        };
        let said = [Note, Started, Ended, NotMoved];
        for each in said.into_iter().chain([DiskProgress, Throttled, PausedByOthers, InputRefused]) {
            assert_eq!(json(each), event_kind(each));
        }
        for each in [RoundPhase::PreCopy, RoundPhase::StopAndCopy, RoundPhase::PostCopy] {
            assert_eq!(json(each), phase(each));
        }
        for each in [ResourceKind::Link, ResourceKind::Cpu, ResourceKind::Disk, ResourceKind::Iops] {
            assert_eq!(json(each), resource_kind(each));
        }
        for each in [Level::Information, Level::Warning, Level::Error] {
            assert_eq!(json(each), level(each));
        }
        let [quick, stop, start] = [MigrationKind::Quick, MigrationKind::Stop, MigrationKind::Start];
        let others = [MigrationKind::Live, MigrationKind::Storage, MigrationKind::SharedNothing];
        for each in [quick, stop, start].into_iter().chain(others) {
            assert_eq!(json(each), kind(each));
        }
    }
}
