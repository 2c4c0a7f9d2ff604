//! What is kept of a run that was cut short, and what is not gone on with.

use super::{fixture, with_results};
use arena::results::{Results, Status};
use arena::run::resume;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn results_survive_their_own_json() {
    with_results(Status::Complete, |results, dir| {
        results.save(dir).unwrap();
        let loaded = Results::load(dir).unwrap().unwrap();
        assert!(&loaded == results, "they differ");
    });
}

#[test]
fn results_of_another_version_or_none_at_all_are_named() {
    let error = |text: &str| format!("{:#}", Results::from_json(text).unwrap_err());
    assert!(error("{\"schema\": 99}").contains("version 99"));
    assert!(error("{\"schema\": 2}").contains("damaged"));
    assert!(error("no").contains("no results"));
    assert!(
        Results::load(std::path::Path::new("/nonexistent"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn whole_rounds_are_kept_and_a_broken_one_is_played_anew() {
    with_results(Status::Partial, |results, dir| {
        results.save(dir).unwrap();
        let mut fresh = results.clone();
        fresh.cells.clear();
        let resumed = resume(dir, fresh).unwrap();
        assert_eq!(results.cells.len(), 20);
        assert!(resumed.cells == results.cells[..16], "other cells");
    });
}

#[test]
fn another_build_plan_or_machine_is_not_gone_on_with() {
    let changes: [fn(&mut Results); 4] = [
        |results| results.entrants[2].build.push('2'),
        |results| results.plan.rounds += 1,
        |results| results.machine.kernel.push('2'),
        |results| results.machine.game.push('2'),
    ];
    for change in changes {
        with_results(Status::Partial, |results, dir| {
            results.save(dir).unwrap();
            let mut fresh = results.clone();
            change(&mut fresh);
            let error = resume(dir, fresh).unwrap_err().to_string();
            assert!(error.contains("--fresh"), "{error}");
        });
    }
}

#[test]
fn the_speed_of_the_first_start_stays() {
    with_results(Status::Partial, |results, dir| {
        results.save(dir).unwrap();
        let mut fresh = results.clone();
        fresh.machine.loops_per_us += 1;
        let resumed = resume(dir, fresh).unwrap();
        assert_eq!(resumed.machine, results.machine);
    });
}

#[test]
fn a_directory_that_anybody_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let results = fixture::results(dir.path(), "6.18.15", Status::Partial);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = resume(dir.path(), results.clone()).unwrap_err().to_string();
    assert!(error.contains("--out"), "{error}");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    assert!(resume(&link, results).is_err());
}
