//! What is printed.

use crate::servers::Run;

/// What ratios to the original have to reach.
#[derive(Clone, Copy)]
pub enum Bar {
    /// Nothing.
    None,
    /// So many times its rate, and at most so many times its CPU.
    Both(f64, f64),
}

/// Prints the names of the columns of [`row`].
pub fn head() {
    println!(
        "{:<12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}   ratios: conn/s, CPU",
        "", "conn/s", "CPU us", "p50 ms", "p99 ms", "priv kB", "overflows"
    );
}

/// Prints a row.
pub fn row(name: &str, run: &Run, original: Option<&Run>, bar: Bar) {
    let (p50, p99) = (run.p50.as_secs_f64() * 1e3, run.p99.as_secs_f64() * 1e3);
    let cpu = run.cpu.as_secs_f64() * 1e6;
    print!("{name:<12} {:>8.0} {cpu:>8.1} {p50:>8.2} {p99:>8.2} ", run.rate);
    print!("{:>8} {:>9}  ", run.private, run.overflows);
    let Some(original) = original else { return println!() };
    let rate = run.rate / original.rate;
    let cpu = run.cpu.as_secs_f64() / original.cpu.as_secs_f64();
    let bar = match bar {
        Bar::None => String::new(),
        Bar::Both(most, least) => {
            let met = rate >= most && cpu <= least && run.private <= 200 && run.overflows == 0;
            let bar = format!("{most} and {least}, 200 kB, no overflow");
            verdict(&bar, met)
        }
    };
    println!("{rate:>6.2} {cpu:>5.2}  {bar}");
}

/// Prints a number of ours and of the original, and their ratio with its bar.
pub fn ratio(name: &str, [ours, theirs]: [f64; 2], bar: f64) {
    let ratio = ours / theirs;
    let bar = verdict(&format!("at most {bar}"), ratio <= bar);
    println!("{name:<34} {ours:>9.3} {theirs:>9.3} {ratio:>6.2}  {bar}");
}

/// What has to be reached, and whether it is.
pub fn verdict(bar: &str, reached: bool) -> String {
    format!("{bar}: {}", if reached { "reached" } else { "MISSED" })
}

/// The one in the middle.
pub fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
