//! One move of a scenario by itself, as real hosts are asked for it: which disks go with a guest.

#![allow(clippy::unwrap_used)]

use algorithms::ids::{HostId, VmId};
use algorithms::plan::StorageMove;
use algorithms::records::MigrationKind;
use models::cluster::ClusterModel;
use models::one_move::{alone, resolve, storage_move};

fn library(name: &str, alternative: Option<&str>) -> ClusterModel {
    let path = format!("{}/library/{name}.ron", env!("CARGO_MANIFEST_DIR"));
    let runs = scenarios::load(&path).unwrap().runs;
    let run = runs.into_iter().find(|run| run.alternative.as_deref() == alternative);
    run.unwrap().model
}

/// The kind of a move, and disk and location of what is copied.
fn moved(model: &ClusterModel, source: u32, destination: u32) -> (MigrationKind, Vec<(u32, String)>) {
    let (source, destination) = (HostId(source), HostId(destination));
    let storage = storage_move(model, VmId(0), source, destination).unwrap();
    let found = resolve(&alone(model, VmId(0), destination, storage)).unwrap();
    let place = |to: algorithms::ids::StorageId| model.storage[to.index()].name.to_string();
    (found.assignment.kind, found.disks.iter().map(|disk| (disk.disk, place(disk.to))).collect())
}

#[test]
fn disks_go_where_the_plan_takes_them_and_else_where_they_must() {
    let mut model = library("shared-nothing", Some("each disk its place"));
    let places = vec![(0, "node2-c".to_string()), (1, "san".to_string())];
    assert_eq!(moved(&model, 0, 1), (MigrationKind::SharedNothing, places));
    // The plan says nothing of this move: both go to the destination's default storage.
    model.plan.phases.clear();
    let places = vec![(0, "node2-c".to_string()), (1, "node2-c".to_string())];
    assert_eq!(moved(&model, 0, 1), (MigrationKind::SharedNothing, places));
    let on_san = library("shared-nothing", Some("on the SAN already"));
    assert_eq!(moved(&on_san, 0, 1), (MigrationKind::Live, vec![]));
}

#[test]
fn disks_alone_move_where_their_guest_is() {
    let model = library("storage-migration", Some("two at a time"));
    assert_eq!(moved(&model, 0, 0), (MigrationKind::Storage, vec![(1, "nvme".to_string())]));
    let without = library("shared-nothing", Some("to a slow disk"));
    assert_eq!(storage_move(&without, VmId(0), HostId(0), HostId(0)), None, "there is nothing to move");
}

#[test]
fn a_move_that_the_rules_forbid_says_why() {
    let model = library("shared-storage-refusal", Some("refused"));
    let refused = resolve(&alone(&model, VmId(0), HostId(1), StorageMove::Stays)).unwrap_err();
    assert!(refused.contains("which the destination does not reach"), "{refused}");
}
