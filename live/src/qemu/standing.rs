//! Who runs the guest, when something broke; and what makes exactly one run it again.
//!
//! | source | destination | handed over | remedy |
//! |---|---|---|---|
//! | runs | anything but runs | – | none: the guest runs at the source |
//! | anything but runs | runs | – | none: the guest runs at the destination |
//! | stands still | anything | no | the source goes on |
//! | stands still | has all | yes | the destination goes on |
//! | stands still | lacks something, or gone | yes | in doubt: it may have run there; an operator must say |
//! | gone | has all | – | the destination goes on |
//! | gone | lacks something, or gone | – | the guest is lost with its host, as without a migration |
//!
//! Handed over is a migration whose controller has given the command to start the guest at the
//! destination, which the journal says.

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::json;

use super::qmp::Qmp;

/// A source has let its guest go on by itself so long after its migration failed, or does not.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// What a machine is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It runs the guest.
    Running,
    /// It has all of the guest and does not run it.
    Standing,
    /// It has not got all of the guest.
    Receiving,
    /// It is gone.
    Gone,
}

/// Whether the guest was told to start at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// It was not.
    NotOrdered,
    /// It was.
    Ordered,
}

/// What makes exactly one run the guest again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: the source runs it.
    SourceRuns,
    /// Nothing: the destination runs it.
    DestinationRuns,
    /// Let the source go on.
    ResumeSource,
    /// Let the destination go on.
    ResumeDestination,
    /// Nobody runs it; the source's copy is whole, but the destination may have run since.
    InDoubt,
    /// Nobody has it: it is lost with its host.
    Lost,
    /// Both run it, which cannot be: somebody has resumed one by hand.
    Both,
}

/// The remedy, by the table above.
pub fn remedy(source: Condition, destination: Condition, hand_over: HandOver) -> Remedy {
    use Condition::{Gone, Receiving, Running, Standing};
    match (source, destination, hand_over) {
        (Running, Running, _) => Remedy::Both,
        (Running, _, _) => Remedy::SourceRuns,
        (_, Running, _) => Remedy::DestinationRuns,
        (Standing, _, HandOver::NotOrdered) => Remedy::ResumeSource,
        (Standing, Standing, HandOver::Ordered) => Remedy::ResumeDestination,
        (Standing, Receiving | Gone, HandOver::Ordered) => Remedy::InDoubt,
        (Gone | Receiving, Standing, _) => Remedy::ResumeDestination,
        (Gone | Receiving, Receiving | Gone, _) => Remedy::Lost,
    }
}

/// What the machine of `qmp` is at.
pub fn condition(qmp: &mut Qmp) -> Condition {
    match qmp.run_state().as_deref() {
        Ok("running") => Condition::Running,
        Ok("inmigrate") => Condition::Receiving,
        Ok(_) => Condition::Standing,
        Err(_) => Condition::Gone,
    }
}

/// Has a machine that stands still go on; what it is at then.
///
/// A source whose migration has just failed is between the two (`finish-migrate`): it refuses, and goes on by
/// itself a moment later.
pub(super) fn go_on(qmp: &mut Qmp) -> Condition {
    let until = Instant::now() + SETTLES_WITHIN;
    loop {
        let ordered = qmp.execute("cont", json!({})).is_ok();
        let found = condition(qmp);
        if ordered || found != Condition::Standing || Instant::now() > until {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Remedy::SourceRuns => "the guest runs at the source",
            Remedy::DestinationRuns => "the guest runs at the destination",
            Remedy::ResumeSource => "nobody runs the guest; the source can go on",
            Remedy::ResumeDestination => "nobody runs the guest; the destination can go on",
            Remedy::InDoubt => "nobody runs the guest; the source has a copy from before the hand-over",
            Remedy::Lost => "the guest is lost with its host",
            Remedy::Both => "both run the guest: stop one of them at once",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Condition; 4] =
        [Condition::Running, Condition::Standing, Condition::Receiving, Condition::Gone];

    #[test]
    fn no_remedy_resumes_one_while_the_other_runs_or_may_have_run() {
        for source in ALL {
            for destination in ALL {
                for hand_over in [HandOver::NotOrdered, HandOver::Ordered] {
                    let found = remedy(source, destination, hand_over);
                    if found == Remedy::ResumeSource {
                        assert_eq!(source, Condition::Standing);
                        assert_ne!(destination, Condition::Running);
                        assert_eq!(hand_over, HandOver::NotOrdered);
                    }
                    if found == Remedy::ResumeDestination {
                        assert_eq!(destination, Condition::Standing, "it must have all of the guest");
                        assert_ne!(source, Condition::Running);
                    }
                }
            }
        }
    }

    #[test]
    fn a_source_that_was_not_handed_over_always_goes_on() {
        for destination in [Condition::Standing, Condition::Receiving, Condition::Gone] {
            let found = remedy(Condition::Standing, destination, HandOver::NotOrdered);
            assert_eq!(found, Remedy::ResumeSource);
        }
    }
}
