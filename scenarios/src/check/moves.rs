//! The moves of one step, and which of them wait for which.

use std::collections::HashMap;

use algorithms::ids::{HostId, VmId};
use algorithms::plan::{Move, StorageMove};
use sim_core::Span;

use super::plan::Ground;
use crate::error::Problem;
use crate::file::{MoveFile, MoveStorageFile};
use crate::names::Budget;
use crate::read::at::{At, Place};

/// Moves in order, with what each was written as.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub(super) moves: Vec<Move>,
    pub(super) written: Vec<Written>,
    by_guest: HashMap<u32, usize>,
}

/// Where a move's parts were written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) vm: At<String>,
    pub(super) to: Option<At<String>>,
    after: Option<Place>,
}

impl Moves {
    /// Adds the moves that an entry stands for.
    pub(super) fn add(
        &mut self,
        file: &MoveFile,
        ground: &Ground<'_>,
        budget: &mut Budget,
    ) -> Result<(), Problem> {
        let to = file.to.as_ref();
        let destination = to.map(|to| ground.hosts.table.one(to)).transpose()?;
        for vm in ground.guests.table.all(&file.vm, budget)? {
            let storage =
                ground.storage.include(file.storage.as_ref(), &ground.guests.guests[vm as usize])?;
            let written = Written {
                vm: file.vm.clone(),
                to: file.to.clone(),
                after: file.after.as_ref().map(|after| after.place),
            };
            self.push(vm, destination.map(HostId), (file.delay, storage), written, ground)?;
        }
        Ok(())
    }

    /// Adds the moves of storage alone that an entry stands for.
    pub(super) fn add_storage(
        &mut self,
        file: &MoveStorageFile,
        ground: &Ground<'_>,
        budget: &mut Budget,
    ) -> Result<(), Problem> {
        for vm in ground.guests.table.all(&file.vm, budget)? {
            let guest = &ground.guests.guests[vm as usize];
            let storage = ground.storage.only(&file.to, file.disks.as_deref(), guest, &file.vm)?;
            let after = file.after.as_ref().map(|after| after.place);
            let written = Written { vm: file.vm.clone(), to: None, after };
            self.push(vm, None, (file.delay, storage), written, ground)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        vm: u32,
        destination: Option<HostId>,
        (delay, storage): (Option<Span>, StorageMove),
        written: Written,
        ground: &Ground<'_>,
    ) -> Result<(), Problem> {
        if let Some(&first) = self.by_guest.get(&vm) {
            let message = format!("`{}` is moved twice in one step", ground.guests.table.name(vm));
            return Err(Problem::at(written.vm.place, message, "moved again here")
                .also(self.written[first].vm.place, "moved here")
                .help("the moves of a step go on at the same time; put the second into a later step"));
        }
        self.by_guest.insert(vm, self.moves.len());
        let delay = delay.unwrap_or(Span::ZERO);
        self.moves.push(Move { vm: VmId(vm), destination, delay, after: Vec::new(), storage });
        self.written.push(written);
        Ok(())
    }

    /// Notes what an entry's moves wait for.
    pub(super) fn order(
        &mut self,
        vm: &At<String>,
        after: Option<&At<Vec<At<String>>>>,
        ground: &Ground<'_>,
        budget: &mut Budget,
    ) -> Result<(), Problem> {
        let Some(before) = after else {
            return Ok(());
        };
        let mut indices = Vec::new();
        for pattern in &before.value {
            for vm in ground.guests.table.all(pattern, budget)? {
                let index = self.by_guest.get(&vm).copied();
                indices.push(index.ok_or_else(|| not_in_step(pattern, ground.guests.table.name(vm)))?);
            }
        }
        indices.sort_unstable();
        indices.dedup();
        for index in ground.guests.table.all(vm, budget)? {
            budget.spend(indices.len(), vm)?;
            if let Some(&index) = self.by_guest.get(&index) {
                self.moves[index].after = indices.clone();
            }
        }
        Ok(())
    }

    /// No move may wait for itself, by way of others or not.
    pub(super) fn check_order(&self, ground: &Ground<'_>) -> Result<(), Problem> {
        let Some(cycle) = find_cycle(&self.moves) else {
            return Ok(());
        };
        let name = |index: &usize| ground.guests.table.name(self.moves[*index].vm.0);
        let mut chain: Vec<&str> = cycle.iter().take(8).map(name).collect();
        if cycle.len() > chain.len() {
            chain.push("…");
        }
        chain.extend(cycle.first().map(name));
        let written = &self.written[cycle[0]];
        let message = format!("these moves wait for each other: {}", chain.join(" after "));
        Err(Problem::at(written.after.unwrap_or(written.vm.place), message, "none of them can ever begin")
            .help("leave out one of these `after`"))
    }
}

fn not_in_step(pattern: &At<String>, guest: &str) -> Problem {
    let message = format!("`{guest}` is not moved in this step");
    Problem::at(pattern.place, message, "cannot be waited for")
        .help("`after` orders the moves of one step; steps follow one another anyway")
}

/// Moves of which each waits for the next, and the last for the first.
fn find_cycle(moves: &[Move]) -> Option<Vec<usize>> {
    let mut waits_for: Vec<usize> = moves.iter().map(|step| step.after.len()).collect();
    let mut followers = vec![Vec::new(); moves.len()];
    for (index, step) in moves.iter().enumerate() {
        step.after.iter().for_each(|&before| followers[before].push(index));
    }
    let mut ready: Vec<usize> = (0..moves.len()).filter(|&index| waits_for[index] == 0).collect();
    while let Some(index) = ready.pop() {
        for &follower in &followers[index] {
            waits_for[follower] -= 1;
            if waits_for[follower] == 0 {
                ready.push(follower);
            }
        }
    }
    // Whoever still waits, waits for one that still waits: following them must come round.
    let mut walk = vec![(0..moves.len()).find(|&index| waits_for[index] > 0)?];
    let mut seen = vec![None; moves.len()];
    loop {
        let last = *walk.last()?;
        if let Some(start) = seen[last] {
            walk.pop();
            return Some(walk.split_off(start));
        }
        seen[last] = Some(walk.len() - 1);
        walk.push(*moves[last].after.iter().find(|&&before| waits_for[before] > 0)?);
    }
}
