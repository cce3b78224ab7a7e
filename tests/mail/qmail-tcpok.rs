//! qmail-tcpok: clear the table of addresses that do not answer.

use crate::installation::installation;
use tests::{fed, ran};

#[test]
fn both_tables_are_cleared() {
    if tests::original() {
        return; // The originals have one table.
    }
    let home = installation();
    home.write("queue/lock/tcpto", [1; 1024]).write("queue/lock/tcpto6", [1; 1024]);
    let output = fed(&mut home.program("qmail-tcpok"), "");
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    for table in ["queue/lock/tcpto", "queue/lock/tcpto6"] {
        assert_eq!(home.place().read(table), [0; 1024]);
    }
    // an installation of the originals has no table for IPv6, and gets none
    std::fs::remove_file(home.join("queue/lock/tcpto6")).unwrap();
    let output = fed(&mut home.program("qmail-tcpok"), "");
    assert_eq!(ran(&output), (Some(0), String::new(), String::new()));
    assert!(!home.place().exists("queue/lock/tcpto6"));
}

#[test]
fn a_missing_table_is_a_temporary_failure() {
    let home = installation();
    std::fs::remove_file(home.join("queue/lock/tcpto")).unwrap();
    let output = fed(&mut home.program("qmail-tcpok"), "");
    let table = home.join("queue/lock/tcpto");
    let said =
        format!("qmail-tcpok: fatal: unable to write {}: file does not exist\n", table.display());
    assert_eq!(ran(&output), (Some(111), String::new(), said));
    assert!(!home.place().exists("queue/lock/tcpto"));
}
