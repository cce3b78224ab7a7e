//! The smallest program there is: it writes one byte to its output and ends. No C library, no
//! start-up: what a benchmark of servers measures with it is the servers.

use tests::Scratch;

/// write(1, "x", 1); exit(0).
const CODE: [u8; 32] = [
    0xb8, 1, 0, 0, 0, // mov eax, 1
    0xbf, 1, 0, 0, 0, // mov edi, 1
    0xbe, 0x97, 0, 0x40, 0, // mov esi, END
    0xba, 1, 0, 0, 0, // mov edx, 1
    0x0f, 0x05, // syscall
    0xb8, 60, 0, 0, 0, // mov eax, 60
    0x31, 0xff, // xor edi, edi
    0x0f, 0x05, // syscall
    b'x',
];

/// Where a file is in memory.
const BASE: u64 = 0x40_0000;
/// The bytes of the two headers.
const HEADERS: u64 = 64 + 56;

/// Makes it, and gives its name. On other machines than x86_64 it is the system's `true`.
pub fn child(place: &Scratch) -> String {
    if !cfg!(target_arch = "x86_64") {
        return "/bin/true".into();
    }
    let size = HEADERS + CODE.len() as u64;
    let halves = |numbers: &[u16]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let words = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let longs = |numbers: &[u64]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let parts: [Vec<u8>; 9] = [
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        // A program for x86_64, version 1.
        halves(&[2, 62]),
        words(&[1]),
        // Its start; program headers from 64 on, no sections.
        longs(&[BASE + HEADERS, 64, 0]),
        words(&[0]),
        halves(&[64, 56, 1, 0, 0, 0]),
        // One segment, readable and executable: the whole file.
        words(&[1, 5]),
        longs(&[0, BASE, BASE, size, size, 4096]),
        CODE.to_vec(),
    ];
    place.write("child", parts.concat()).chmod("child", 0o755);
    place.join("child").display().to_string()
}
