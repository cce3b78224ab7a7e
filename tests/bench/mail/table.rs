//! What is printed.

use crate::load::Measured;

/// What our ratio to the other server has to reach.
#[derive(Clone, Copy)]
pub enum Bar {
    /// Nothing.
    None,
    /// So many times its messages delivered a second.
    Rate(f64),
    /// So many times its messages taken a second.
    Accepted(f64),
    /// At most so many times its CPU for a message.
    Cpu(f64),
    /// Its rate, at no more CPU.
    Both(f64),
}

/// A table of rows with a number for each server and their ratios.
pub struct Table;

impl Table {
    /// Prints the head.
    pub fn new(title: &str) -> Table {
        println!("\n{title}");
        println!("{:<26} {:>22} {:>22} {:>21}", "", "catena", "Postfix", "ratio");
        let columns = format!("{:>7} {:>7} {:>6}", "in/s", "done/s", "CPU ms");
        println!("{:<26} {columns} {columns} {:>6} {:>7} {:>6}  bar", "", "in", "done", "CPU");
        Table
    }

    /// Prints a row.
    pub fn row(&mut self, name: &str, [ours, theirs]: [Measured; 2], bar: Bar) {
        let numbers =
            |m: Measured| format!("{:>7.0} {:>7.0} {:>6.2}", m.accepted, m.delivered, m.cpu);
        let accepted = ours.accepted / theirs.accepted;
        let delivered = ours.delivered / theirs.delivered;
        let cpu = ours.cpu / theirs.cpu;
        let bar = match bar {
            Bar::None => String::new(),
            Bar::Rate(bar) => verdict(&format!("done {bar}"), delivered >= bar),
            Bar::Accepted(bar) => verdict(&format!("in {bar}"), accepted >= bar),
            Bar::Cpu(bar) => verdict(&format!("CPU {bar}"), cpu <= bar),
            Bar::Both(bar) => verdict("done 1, CPU 1", delivered >= bar && cpu <= bar),
        };
        println!(
            "{name:<26} {} {} {accepted:>6.2} {delivered:>7.2} {cpu:>6.2}  {bar}",
            numbers(ours),
            numbers(theirs)
        );
    }
}

/// What a number has to reach, and whether it does.
pub fn verdict(bar: &str, reached: bool) -> String {
    format!("{bar}: {}", if reached { "reached" } else { "MISSED" })
}
