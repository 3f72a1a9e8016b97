//! The seeds and the kept corpus, as a normal test: what once broke a parser never does again.

use std::fs;
use std::path::Path;

use nave_fuzz::TARGETS;

#[test]
fn the_kept_corpus_breaks_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in TARGETS {
        for seed in target.seeds {
            (target.run)(seed);
            for end in 0..seed.len() {
                (target.run)(&seed[..end]);
            }
        }
        for entry in fs::read_dir(corpus.join(target.name)).into_iter().flatten() {
            (target.run)(&fs::read(entry.unwrap().path()).unwrap());
        }
    }
    for entry in fs::read_dir(&corpus).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            TARGETS.iter().any(|target| target.name == name),
            "the corpus of {name} belongs to no target"
        );
    }
}
