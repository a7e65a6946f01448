//! Files of measured migrations: known by what is in them, and wrong ones said with their place.

#![allow(clippy::unwrap_used, reason = "tests")]

use calibration::datasets::{Measurements, Source};
use proptest::prelude::*;

fn read(name: &str, text: &str) -> Result<Measurements, String> {
    let source = Source { name: name.to_string(), text: text.to_string() };
    Measurements::read(&[source]).map_err(|error| error.to_string())
}

#[test]
fn columns_may_stand_in_any_order_and_further_ones_are_passed_over() {
    let text = "to,extra,from,vm,plan,dur_s,start_s,memMB,bw_mbps\n3,x,1,7,12,40,0,2000,500\n";
    let all = read("m.csv", text).unwrap();
    let row = &all.plan_migrations[0];
    assert_eq!((row.plan, row.repetition, row.vm, row.from, row.to), (12, 1, 7, 1, 3));
}

#[test]
fn a_wrong_value_is_said_with_file_line_and_column() {
    let text =
        "plan,vm,from,to,dur_s,start_s,memMB,bw_mbps\n1,1,0,2,38,0,2000,500\n1,2,0,2,minus,0,2000,500\n";
    let error = read("m.csv", text).unwrap_err();
    assert_eq!(error, "m.csv:3:9: `dur_s` is `minus`, where a number, zero or more was expected");
}

#[test]
fn a_migration_to_its_own_node_is_said() {
    let text = "plan,vm,from,to,dur_s,start_s,memMB,bw_mbps\n1,1,2,2,38,0,2000,500\n";
    assert!(read("m.csv", text).unwrap_err().starts_with("m.csv:2:1:"));
}

#[test]
fn drains_and_their_guests_find_each_other() {
    let drains = "file,tunnel,flavor,parallel,evac,seconds\na,off,large,3,1,200\n";
    let guests =
        "file,tunnel,flavor,parallel,evac,vm,seconds\na,off,large,3,1,VM1,50\na,off,large,3,1,VM2,51\n";
    let sources = [drains, guests].map(|text| Source { name: "d.csv".into(), text: text.into() });
    let all = Measurements::read(&sources).unwrap();
    assert_eq!(all.drains.len(), 1);
    assert_eq!((all.drains[0].seconds, all.drains[0].guests.len()), (Some(200.0), 2));
}

#[test]
fn a_plan_is_known_by_its_keys_and_numbered_by_its_name() {
    let text = r#"{"origin": {"attributes": {"vms": {"4": {"memUsed": 2000, "maxDirtySize": 96}}}},
        "actions": [{"id": "migrateVM", "vm": 4, "from": 0, "to": 1, "bw": 500, "start": 0, "end": 40},
                    {"id": "shutdownNode", "node": 2, "start": 0, "end": 30}]}"#;
    let all = read("some/where/random.37.json", text).unwrap();
    assert_eq!((all.plans[0].plan, all.plans[0].actions.len()), (Some(37), 1));
    assert_eq!(all.plans[0].guests[&4].hot_mb, 96.0);
}

#[test]
fn query_migrate_is_read_as_a_list_and_line_by_line() {
    let answer = r#"{"status": "completed", "total-time": 17000, "downtime": 12,
        "ram": {"total": 8590000000, "transferred": 2350000000, "duplicate": 1600000, "mbps": 1096.0}}"#;
    let active = r#"{"return": {"status": "active", "ram": {"dirty-pages-rate": 4741}}}"#;
    for text in [format!("[{active}, {answer}]"), format!("{active}\n{answer}\n")] {
        let all = read("log.json", &text).unwrap();
        let logged = &all.logged[0];
        assert_eq!((logged.total, logged.downtime), (17.0, Some(0.012)));
        assert_eq!(logged.dirty_rate, Some(4741.0 * 4096.0));
    }
}

#[test]
fn logs_of_proxmox_and_libvirt_are_read() {
    let proxmox = "2024-05-02 10:00:01 migration active, transferred 1.0 GiB of 4.0 GiB VM-state, 112.0 MiB/s\n\
        2024-05-02 10:00:11 migration active, transferred 2.0 GiB of 4.0 GiB VM-state, 112.0 MiB/s\n\
        2024-05-02 10:00:20 average migration speed: 204.8 MiB/s - downtime 35 ms\n\
        2024-05-02 10:00:22 migration finished successfully (duration 00:00:25)\n";
    let all = read("task.log", proxmox).unwrap();
    let logged = &all.logged[0];
    assert_eq!((logged.total, logged.bytes, logged.memory), (25.0, 2147483648.0, 4294967296.0));
    let libvirt = "Job type:         Completed   \nTime elapsed:     12500        ms\n\
        Data processed:   1.500 GiB\nData total:       4.000 GiB\nMemory processed: 1.500 GiB\n\
        Memory total:     4.000 GiB\nMemory bandwidth: 120.000 MiB/s\nTotal downtime:   45           ms\n";
    let all = read("domjobinfo.txt", libvirt).unwrap();
    assert_eq!((all.logged[0].total, all.logged[0].downtime), (12.5, Some(0.045)));
}

#[test]
fn what_is_not_known_is_passed_over_and_said() {
    assert_eq!(read("a.csv", "a,b\n1,2\n").unwrap().passed_over, ["a.csv"]);
    let licence = "A licence\nof two lines, one with commas, is no broken table\n";
    assert_eq!(read("licence.txt", licence).unwrap().passed_over, ["licence.txt"]);
    assert!(read("a.json", "{\"a\": ").unwrap_err().starts_with("a.json:1:"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = read("x", &text);
    }

    #[test]
    fn no_rows_make_the_reader_panic(values in proptest::collection::vec("[-0-9a-z.]{0,6}", 0..40)) {
        for header in ["plan,vm,from,to,dur_s", "scenario,run,total_ms,transferred_B", "flavor,parallel,evac,seconds"] {
            let columns = header.split(',').count();
            let rows: Vec<String> = values.chunks(columns).map(|row| row.join(",")).collect();
            let _ = read("x.csv", &format!("{header}\n{}\n", rows.join("\n")));
        }
    }
}
