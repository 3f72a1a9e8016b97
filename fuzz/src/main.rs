//! The harness: changes seeds and kept inputs at random and tries them, for a time. An input that panics is written
//! into the corpus before the program ends with it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Parser;
use nave_fuzz::{TARGETS, Target};
use nave_link::random::Random;

/// The longest input that is tried.
const MAX_INPUT: usize = 8 << 10;

#[derive(Parser)]
struct Cli {
    /// Only this target
    target: Option<String>,
    /// For how long each target is tried
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Begins the random changes; the same seed tries the same inputs
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let chosen: Vec<&Target> =
        TARGETS.iter().filter(|target| cli.target.as_ref().is_none_or(|name| name == target.name)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        bail!("there is no such target; there are: {}", names.join(", "));
    }
    let seed = cli.seed.unwrap_or_else(|| u64::from_le_bytes(Random::system().bytes()));
    for target in chosen {
        let tried = fuzz(target, Duration::from_secs(cli.seconds), seed)?;
        say(format_args!("{:<14} {tried} inputs, seed {seed}, nothing found", target.name));
    }
    Ok(())
}

fn fuzz(target: &Target, time: Duration, seed: u64) -> anyhow::Result<u64> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut inputs: Vec<Vec<u8>> = target.seeds.iter().map(|seed| seed.to_vec()).collect();
    if let Ok(entries) = fs::read_dir(&folder) {
        inputs.extend(entries.filter_map(|entry| fs::read(entry.ok()?.path()).ok()));
    }
    let mut numbers = Numbers(seed | 1);
    let (begun, mut tried) = (Instant::now(), 0);
    while begun.elapsed() < time {
        for _ in 0..1000 {
            let mut input = inputs[numbers.below(inputs.len())].clone();
            for _ in 0..=numbers.below(8) {
                change(&mut input, &inputs, &mut numbers);
            }
            input.truncate(MAX_INPUT);
            tried += 1;
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                let file = folder.join(format!("found-{seed}-{tried}"));
                fs::create_dir_all(&folder)?;
                fs::write(&file, &input)?;
                bail!("{}: an input panics; it is kept in {}", target.name, file.display());
            }
        }
    }
    Ok(tried)
}

/// One random change of the kinds that find most: bits, bytes, cuts, repeats, splices and words that parsers know.
fn change(input: &mut Vec<u8>, others: &[Vec<u8>], numbers: &mut Numbers) {
    const WORDS: [&[u8]; 14] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b"+",
        b".",
        b"null",
        b"-1",
        b"18446744073709551616",
        b"\xf0\x9f\x9a\x80",
        b"\0",
        b"\\u0000",
    ];
    if input.is_empty() {
        input.push(numbers.byte());
        return;
    }
    let at = numbers.below(input.len());
    match numbers.below(8) {
        0 => input[at] ^= 1 << numbers.below(8),
        1 => input[at] = numbers.byte(),
        2 => input.insert(at, numbers.byte()),
        3 => drop(input.drain(at..(at + 1 + numbers.below(16)).min(input.len()))),
        4 => input.truncate(at),
        5 => {
            let end = (at + 1 + numbers.below(32)).min(input.len());
            let part = input[at..end].to_vec();
            for _ in 0..=numbers.below(64) {
                input.splice(at..at, part.iter().copied());
                if input.len() > MAX_INPUT {
                    break;
                }
            }
        }
        6 => {
            let other = &others[numbers.below(others.len())];
            let from = numbers.below(other.len() + 1);
            input.splice(at.., other[from..].iter().copied());
        }
        _ => drop(input.splice(at..at, WORDS[numbers.below(WORDS.len())].iter().copied()).count()),
    }
}

/// A small repeatable generator (xorshift64*); speed matters here, secrecy does not.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 56).unwrap_or(0)
    }
}

#[expect(clippy::print_stdout, reason = "the result is what the program is run for")]
fn say(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
