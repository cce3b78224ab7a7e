//! Random numbers that are the same in every run.

/// A seeded generator (xorshift64*), for damaged input. Print the seed or the case when a test
/// fails; the same seed gives the same cases.
pub struct Random(u64);

impl Random {
    /// Starts a sequence. Every seed is good, 0 too.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait)] // a plain function reads better than an iterator here
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number from 0 to `end - 1`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// `count` bytes of any value.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// One of the choices, which must not be empty.
    pub fn pick<'a, T: ?Sized + ToOwned>(&mut self, choices: &'a [&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// A damaged copy: one to four bytes changed, removed, doubled, or the end cut off.
    pub fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut copy = bytes.to_vec();
        for _ in 0..=self.below(4) {
            if copy.is_empty() {
                return self.bytes(1);
            }
            let at = self.below(copy.len());
            match self.below(5) {
                0 => copy[at] = self.next() as u8,
                1 => copy[at] ^= 1 << self.below(8),
                2 => drop(copy.remove(at)),
                3 => copy.insert(at, copy[at]),
                _ => copy.truncate(at),
            }
        }
        copy
    }
}
