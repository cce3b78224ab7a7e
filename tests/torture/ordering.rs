//! svc: whatever fails, it does not complain of a service that has got all its orders, and of every
//! other it does.

use crate::sweep::{Case, sweep};
use crate::tamper::held;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use tests::{Scratch, program, scratch};

const SERVICES: [&str; 2] = ["one", "two"];

/// What is sent to both.
const ORDERS: &str = "du";

struct Orders {
    place: Scratch,
    /// What supervise reads, of each.
    controls: [File; 2],
}

impl Orders {
    /// What has come since the last time.
    fn come(&self) -> [String; 2] {
        self.controls.each_ref().map(|mut control| {
            let mut orders = String::new();
            // it is still open for writing, by us: there is no end, but nothing more
            let _ = control.read_to_string(&mut orders);
            orders
        })
    }
}

impl Case for Orders {
    fn new() -> Self {
        let place = scratch();
        let controls = SERVICES.map(|name| {
            let fifo = place.fifo(format!("{name}/supervise/control")).join(name);
            let mut options = File::options();
            options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
            options.open(fifo.join("supervise/control")).unwrap()
        });
        Orders { place, controls }
    }

    fn renew(&self) {
        self.come();
    }

    fn command(&self) -> Command {
        let mut svc = program("svc");
        let mut command = held(svc.arg("-du").args(SERVICES).current_dir(self.place.path()));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(self.place.join("complaints")).unwrap());
        command
    }

    fn is_done(&self, code: Option<i32>) -> bool {
        code == Some(0) && self.place.text("complaints").is_empty()
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let complaints = self.place.text("complaints");
        for (name, orders) in SERVICES.iter().zip(self.come()) {
            let named = complaints.contains(&format!(" {name}:"));
            match code {
                _ if !ORDERS.starts_with(&orders) => return Err(format!("{name} gets {orders:?}")),
                Some(0) if (orders == ORDERS) == named => {
                    return Err(format!("{name} gets {orders:?}, and it says {complaints:?}"));
                }
                // 127 is a start that the C library gives up
                None | Some(0 | 111 | 127) => {}
                Some(other) => return Err(format!("no temporary failure: {other}")),
            }
        }
        Ok(())
    }
}

#[test]
fn svc_complains_of_every_order_that_does_not_come() {
    sweep::<Orders>("svc");
}
