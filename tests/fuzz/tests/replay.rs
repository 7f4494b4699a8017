//! Every input of every corpus, and of what fuzzing once found, in every test run.

use std::path::Path;

use fuzz::TARGETS;

#[test]
fn every_corpus_passes_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpora.join(name)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&std::fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 10, "the corpus of {name} has {inputs} inputs");
    }
}

#[test]
fn every_target_can_be_fuzzed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/fuzz_targets");
    for (name, _) in TARGETS {
        let source = std::fs::read_to_string(directory.join(format!("{name}.rs"))).unwrap();
        assert!(
            source.contains(&format!("\"{name}\"")),
            "{name}.rs runs {name}"
        );
    }
}
