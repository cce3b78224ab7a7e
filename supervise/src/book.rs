//! What supervise tells others, and the next supervise: `supervise/state` and `supervise/status`.

use crate::draft::Draft;
use crate::home::Home;
use crate::replaced::Failure;
use crate::state::{Life, Record};
use base::sys::wait::Pid;
use std::cell::RefCell;

/// The two files, and what they say.
pub struct Book {
    /// Where they are.
    pub home: Home,
    /// What the state is to say, as far as is known.
    record: RefCell<Record>,
    /// What the files say.
    shown: RefCell<(Option<Record>, Option<Vec<u8>>)>,
}

impl Book {
    /// Says nothing yet but who writes it.
    pub fn new(home: Home, life: Life) -> Book {
        let supervisor = Some(std::process::id() as Pid);
        let record = RefCell::new(Record { life, supervisor, ..Record::default() });
        Book { home, record, shown: RefCell::default() }
    }

    /// Changes what the state says, and writes it if that is another thing.
    pub fn write_state(&self, change: impl FnOnce(&mut Record)) -> Result<(), Failure> {
        let mut record = self.record.borrow_mut();
        change(&mut record);
        let mut shown = self.shown.borrow_mut();
        if shown.0.as_ref() != Some(&*record) {
            self.home.state.put(record.text().as_bytes())?;
            shown.0 = Some(record.clone());
        }
        Ok(())
    }

    /// What the state is to say once there is a process more, the service or its log script: the
    /// process that exists then writes it.
    pub fn draft(&self, log: bool, change: impl FnOnce(&mut Record)) -> Draft {
        let mut record = self.record.borrow().clone();
        change(&mut record);
        Draft::new(record, log)
    }

    /// Supervise ends in order: the next one starts the service as if for the first time.
    pub fn close(&self) -> Result<(), Failure> {
        self.write_state(|record| record.supervisor = None)
    }

    /// Writes the status if it has changed.
    pub fn write_status(&self, status: Vec<u8>) -> Result<(), Failure> {
        let mut shown = self.shown.borrow_mut();
        if shown.1.as_ref() != Some(&status) {
            self.home.status.put(&status)?;
            shown.1 = Some(status);
        }
        Ok(())
    }
}
