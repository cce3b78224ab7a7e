//! Deliveries: beginning them as slots permit, and what is done with their reports.

use super::bounce;
use super::channel::Delivery;
use super::log;
use super::manager::Manager;
use super::pass::{Pass, Recipient};
use super::reports::{Report, Verdict};
use super::rewrite::{Side, sender_for};
use super::schedule::SYSTEM_FAILURE;
use base::files;
use base::sys::fd;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is added to the last report about a message that is too old.
const TOO_OLD: &[u8] =
    b"I'm not going to try again; this message has been in the queue too long.\n";

impl Manager {
    /// Begins deliveries on one side, in the order of messages and of recipients, as long as
    /// there is room. Those that are tried for the first time and those that have files take
    /// turns, so that neither keep the others waiting.
    pub(super) fn deliver(&mut self, side: Side, now: u64) {
        while !self.leaving && self.channels[side as usize].has_room() {
            let channel = &mut self.channels[side as usize];
            if let Some(message) = channel.current {
                self.next_recipient(side, message);
                continue;
            }
            channel.turn ^= true;
            let begun = match channel.turn {
                true => self.begin_first_try(side) || self.begin_pass(side, now),
                false => self.begin_pass(side, now) || self.begin_first_try(side),
            };
            if !begun {
                return;
            }
        }
    }

    /// Begins with the next message that is due. False: none is.
    fn begin_pass(&mut self, side: Side, now: u64) -> bool {
        let channel = &mut self.channels[side as usize];
        let Some(message) = channel.schedule.take_due(now) else { return false };
        match Pass::begin(&self.paths, side, message, now, self.controls.lifetime) {
            Ok(pass) => {
                channel.passes.insert(message, pass);
                channel.current = Some(message);
            }
            Err(trouble) => {
                trouble.log();
                channel.schedule.add(now + SYSTEM_FAILURE, message);
            }
        }
        true
    }

    /// Begins the delivery to the next recipient of the message that is being given out.
    fn next_recipient(&mut self, side: Side, message: u64) {
        let channel = &mut self.channels[side as usize];
        let Some(pass) = channel.passes.get_mut(&message) else {
            channel.current = None;
            return;
        };
        let recipient = pass.next().unwrap_or_else(|trouble| {
            trouble.log();
            None
        });
        let Some(recipient) = recipient else {
            channel.current = None;
            return self.pass_over(side, message);
        };
        pass.going += 1;
        let sender = pass.sender.clone();
        self.begin_delivery(side, message, &sender, recipient);
    }

    /// Begins a delivery: there has to be room.
    pub(super) fn begin_delivery(
        &mut self,
        side: Side,
        message: u64,
        sender: &[u8],
        recipient: Recipient,
    ) {
        self.started += 1;
        let number = self.started;
        let address = log::safe(&recipient.address);
        log::line(format_args!(
            "starting delivery {number}: msg {message} to {} {address}",
            side.name()
        ));
        let sender = sender_for(sender, &recipient.address);
        let delivery = Delivery { number, message, at: recipient.at, recipient: recipient.address };
        let channel = &mut self.channels[side as usize];
        channel.order(&self.paths.below_mess(message), &sender, delivery);
        self.log_status();
    }

    /// The spawner has something to say, or is gone.
    pub(super) fn reports_came(&mut self, side: Side) {
        match self.channels[side as usize].read() {
            Ok(reports) => {
                for report in reports {
                    match self.channels[side as usize].end(report.number) {
                        Some(delivery) if self.first_tries.has(delivery.message) => {
                            self.first_try_ended(delivery, report);
                        }
                        Some(delivery) => self.delivery_ended(side, &delivery, report),
                        None => log::warning("internal error: delivery report out of range"),
                    }
                }
            }
            Err(_) => self.spawner_lost(side),
        }
    }

    /// A delivery of a message with files has ended.
    pub(super) fn delivery_ended(&mut self, side: Side, delivery: &Delivery, mut report: Report) {
        let Some(pass) = self.channels[side as usize].passes.get_mut(&delivery.message) else {
            return;
        };
        if report.verdict == Verdict::Later && pass.last {
            report.verdict = Verdict::Never;
            report.text.extend_from_slice(TOO_OLD);
        }
        let number = delivery.number;
        let said = |what| log::delivery(number, what, &report.text);
        let served = match report.verdict {
            Verdict::Done => {
                said("success");
                true
            }
            Verdict::Later => {
                said("deferral");
                false
            }
            Verdict::Never => {
                said("failure");
                let words =
                    bounce::failure(&self.controls.rules, &delivery.recipient, &report.text);
                note_failure(&self.paths.flat("bounce", delivery.message), &words)
            }
            Verdict::Mangled => {
                log::line(format_args!("delivery {number}: report mangled, will defer"));
                false
            }
        };
        if served && pass.mark_done(delivery.at).is_err() {
            let file = pass.path.display();
            log::warning(format_args!("trouble marking {file}; message will be delivered twice!"));
        }
        pass.unfinished |= !served;
        pass.going -= 1;
        self.log_status();
        self.pass_over(side, delivery.message);
    }

    /// A pass may be over: all recipients looked at, all deliveries ended. Then the file goes if
    /// everybody has been served, or waits for its next try.
    fn pass_over(&mut self, side: Side, message: u64) {
        let channel = &mut self.channels[side as usize];
        let over = |pass: &&Pass| pass.complete && pass.going == 0;
        let Some(pass) = channel.passes.get(&message).filter(over) else { return };
        let (unfinished, retry) = (pass.unfinished, pass.retry);
        channel.passes.remove(&message);
        if unfinished {
            return channel.schedule.add(retry, message);
        }
        self.end(message, Some(side));
    }
}

/// Adds the words about a failure to `bounce/N`, on disk before the recipient is marked: whether
/// that worked. If not, the recipient counts as not served, and is tried again.
fn note_failure(file: &Path, words: &[u8]) -> bool {
    let done = append(file, words);
    if done.is_err() {
        log::alert("unable to append to bounce message; HELP! sleeping...");
    }
    done.is_ok()
}

/// Appends and syncs; after a failure the file is as long as before.
fn append(path: &Path, words: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    let add = || {
        fd::write_all(file.as_fd(), words)?;
        file.sync_all()?;
        // The name of a new file has to stay, too.
        if before == 0 { files::sync_folder(Path::new("bounce")) } else { Ok(()) }
    };
    add().inspect_err(|_| drop(file.set_len(before)))
}
