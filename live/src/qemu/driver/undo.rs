//! Giving up: what was begun is undone, and exactly one machine runs the guest.

use algorithms::controller::Input;
use serde_json::json;

use super::Driver;
use crate::qemu::QemuError;
use crate::qemu::disks::Ending;
use crate::qemu::standing::{Condition, HandOver, Remedy, condition, go_on, remedy};
use crate::qemu::status;

impl Driver<'_> {
    /// Undoes what was begun. Whatever of it fails, the guest's standing is looked at in the end.
    pub(super) fn undo(&mut self) -> Input {
        let before = self.watch.sent;
        let hand_over = if self.watch.resuming { HandOver::Ordered } else { HandOver::NotOrdered };
        let source = condition(self.migration.source);
        if source != Condition::Gone && hand_over == HandOver::NotOrdered {
            // Where the source refuses, its condition below says what is to be done.
            let _ = self.stop_sending();
        }
        self.standing = Some(self.set_right(hand_over));
        // Counted since the last pass; what was sent before stands in the rounds.
        Input::Aborted { sent: self.watch.sent.saturating_sub(before) }
    }

    fn stop_sending(&mut self) -> Result<(), QemuError> {
        let status = status::cancel(self.migration.source)?;
        self.watch.sent = self.watch.sent.max(status.sent);
        let Some(mirrors) = &mut self.mirrors else {
            return Ok(());
        };
        if mirrors.is_running() {
            mirrors.end(self.migration.source, Ending::Torn)?;
        }
        Ok(())
    }

    /// Lets the one go on that has to; a destination that nobody needs ends.
    fn set_right(&mut self, hand_over: HandOver) -> Remedy {
        let conditions = (condition(self.migration.source), condition(self.migration.destination));
        let found = remedy(conditions.0, conditions.1, hand_over);
        if hand_over == HandOver::NotOrdered && matches!(found, Remedy::SourceRuns | Remedy::ResumeSource) {
            // Ended before the source goes on, so that nobody can start it any more.
            let _ = self.migration.destination.execute("quit", json!({}));
        }
        match found {
            Remedy::ResumeSource => remedy(go_on(self.migration.source), Condition::Gone, hand_over),
            Remedy::ResumeDestination => {
                self.watch.resuming = true;
                remedy(Condition::Gone, go_on(self.migration.destination), HandOver::Ordered)
            }
            other => other,
        }
    }
}
