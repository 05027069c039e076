//! Run directories: saves, damage, saves cut short, `--force`, a full disk.

use super::*;

fn state(step: u64) -> State {
    State {
        run_id: "run-a".into(),
        step,
        epoch: 2,
        step_in_epoch: 17,
        sums: RunningSums { loss_sum: 0.1 + 0.2, correct: 33, samples: 40 },
        best_loss: Some(1.0 / 3.0),
        best_epoch: Some(1),
        bad_epochs: 1,
        train_seconds: 1e-9 + step as f64,
    }
}

/// Weights, moments and average of a step, different for every step.
fn contents(step: u64) -> [Vec<f32>; 4] {
    [0.0, 0.3, 0.6, 0.9].map(|shift| numbers(graph().param_count(), step as f32 + shift))
}

fn save(run: &RunDir, step: u64) -> Result<(), CheckpointError> {
    let [params, m, v, average] = contents(step);
    run.save(&graph(), &params, &meta(), &state(step), Buffers { m: &m, v: &v, average: &average })
}

#[track_caller]
fn assert_is(loaded: &Loaded, step: u64) {
    let [params, m, v, average] = contents(step);
    assert_eq!(loaded.state, state(step));
    assert_eq!(bits(&loaded.model.params), bits(&params));
    let Buffers { m: loaded_m, v: loaded_v, average: loaded_average } = loaded.buffers();
    assert_eq!([loaded_m, loaded_v, loaded_average].map(bits), [&m, &v, &average].map(|values| bits(values)));
}

fn new() -> (TempDir, RunDir) {
    let dir = tempdir().unwrap();
    let run = RunDir::create(&dir.path().join("runs").join("a"), false).unwrap();
    (dir, run)
}

/// A directory with a save of step 1 as `previous` and one of step 2 as `last`.
fn two_saves() -> (TempDir, RunDir) {
    let (dir, run) = new();
    save(&run, 1).unwrap();
    save(&run, 2).unwrap();
    (dir, run)
}

fn reopened(run: &RunDir) -> RunDir {
    RunDir::open(run.path()).unwrap()
}

#[test]
fn saves_rotate_and_are_read_to_the_bit() {
    let (_dir, run) = new();
    for step in 1..=4 {
        save(&run, step).unwrap();
        let loaded = reopened(&run).load().unwrap();
        assert_is(&loaded, step);
        assert_eq!(loaded.note, None);
        assert_eq!(loaded.model.run, Some(RunTag { run_id: "run-a".into(), step }));
    }
    assert_eq!(listing(run.path()), [".inkstone-run", "last", "previous"]);
    assert_eq!(listing(&run.path().join("previous")), ["model.safetensors", "optimizer.safetensors"]);
    fs::remove_dir_all(run.path().join("last")).unwrap();
    assert_is(&reopened(&run).load().unwrap(), 3);
}

#[test]
fn a_run_may_carry_on_one_moment_or_an_average_or_nothing() {
    let (_dir, run) = new();
    let [params, m, _, average] = contents(1);
    let none = Buffers::default();
    run.save(&graph(), &params, &meta(), &state(1), Buffers { m: &m, ..none }).unwrap();
    let loaded = run.load().unwrap();
    assert_eq!((bits(&loaded.m), loaded.v.len()), (bits(&m), 0));
    run.save(&graph(), &params, &meta(), &state(2), Buffers { v: &m, average: &average, ..none }).unwrap();
    let loaded = run.load().unwrap();
    assert_eq!((loaded.m.len(), bits(&loaded.v), bits(&loaded.average)), (0, bits(&m), bits(&average)));
    run.save(&graph(), &params, &meta(), &State::default(), none).unwrap();
    let loaded = run.load().unwrap();
    assert_eq!((loaded.buffers(), &loaded.state), (none, &State::default()));
}

/// Does something to the directory of a save.
type Spoil<'a> = &'a dyn Fn(&Path);

/// Each way in which `last` can be spoilt.
#[test]
fn damage_falls_back_to_previous_and_says_so() {
    let spoil: [(&str, Spoil<'_>); 8] = [
        ("model.safetensors: cannot read", &|last| fs::remove_dir_all(last).unwrap()),
        ("model.safetensors: cannot read", &|last| fs::remove_file(last.join("model.safetensors")).unwrap()),
        ("optimizer.safetensors: cannot read", &|last| fs::remove_file(last.join("optimizer.safetensors")).unwrap()),
        ("model.safetensors: is truncated", &|last| cut(&last.join("model.safetensors"))),
        ("optimizer.safetensors: is truncated", &|last| cut(&last.join("optimizer.safetensors"))),
        ("model.safetensors: is damaged", &|last| flip_last_bit(&last.join("model.safetensors"))),
        ("optimizer.safetensors: is damaged", &|last| flip_last_bit(&last.join("optimizer.safetensors"))),
        ("optimizer.safetensors: model and optimizer must be of one save", &|last| {
            fs::copy(last.join("../previous/model.safetensors"), last.join("model.safetensors")).unwrap();
        }),
    ];
    for (why, spoil) in spoil {
        let (_dir, run) = two_saves();
        spoil(&run.path().join("last"));
        let run = reopened(&run);
        let loaded = run.load().unwrap();
        assert_is(&loaded, 1);
        let note = loaded.note.unwrap();
        assert!(note.contains(why) && note.contains("going on from `previous`: epoch 2, step 1"), "{note}");

        // The next save must not push the damaged one over the good one.
        save(&run, 3).unwrap();
        assert_is(&reopened(&run).load().unwrap(), 3);
        fs::remove_dir_all(run.path().join("last")).unwrap();
        assert_is(&reopened(&run).load().unwrap(), 1);
    }
}

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
}

fn flip_last_bit(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn two_damaged_saves_are_an_error_that_names_both() {
    let (_dir, run) = two_saves();
    cut(&run.path().join("last/model.safetensors"));
    flip_last_bit(&run.path().join("previous/optimizer.safetensors"));
    let error = reopened(&run).load().unwrap_err();
    says(
        &error,
        &["last/model.safetensors: is truncated", "previous/optimizer.safetensors: is damaged", "expected one"],
    );
}

/// The process may die after any step of a save: the state before or after it is there to resume.
#[test]
fn a_save_cut_short_anywhere() {
    let join = |run: &RunDir, name: &str| run.path().join(name);
    let half = |run: &RunDir| {
        fs::create_dir(join(run, "last.tmp")).unwrap();
        fs::write(join(run, "last.tmp/model.safetensors"), b"half").unwrap();
    };
    let points: [&dyn Fn(&RunDir); 4] = [
        &|run| fs::create_dir(join(run, "last.tmp")).unwrap(),
        &half,
        &|run| {
            half(run);
            fs::remove_file(join(run, "previous/model.safetensors")).unwrap();
        },
        &|run| {
            half(run);
            fs::remove_dir_all(join(run, "previous")).unwrap();
            fs::rename(join(run, "last"), join(run, "previous")).unwrap();
        },
    ];
    for point in points {
        let (_dir, run) = two_saves();
        point(&run);
        let run = reopened(&run);
        assert_is(&run.load().unwrap(), 2);
        save(&run, 3).unwrap();
        save(&run, 4).unwrap();
        assert_is(&reopened(&run).load().unwrap(), 4);
        assert_eq!(listing(run.path()), [".inkstone-run", "last", "previous"]);
    }
}

#[test]
fn a_save_that_is_refused_changes_nothing() {
    let (_dir, run) = two_saves();
    let [params, m, v, average] = contents(3);
    let buffers = Buffers { m: &m, v: &v, average: &average };
    let nan = State { sums: RunningSums { loss_sum: f64::NAN, ..Default::default() }, ..state(3) };
    let error = run.save(&graph(), &params, &meta(), &nan, buffers).unwrap_err();
    says(&error, &["optimizer.safetensors", "expected a finite loss_sum, found NaN"]);
    let infinite = State { best_loss: Some(f64::INFINITY), ..state(3) };
    says(&run.save(&graph(), &params, &meta(), &infinite, buffers).unwrap_err(), &["a finite best_loss, found inf"]);
    let short = [
        ("m", Buffers { m: &m[1..], ..buffers }),
        ("v", Buffers { v: &v[1..], ..buffers }),
        ("average", Buffers { average: &average[1..], ..buffers }),
    ];
    for (name, buffers) in short {
        let error = run.save(&graph(), &params, &meta(), &state(3), buffers).unwrap_err();
        says(&error, &[&format!("expected 0 or 23 values of `{name}`, found 22")]);
    }
    fs::write(run.path().join("previous/notes.txt"), b"mine").unwrap();
    let error = save(&run, 3).unwrap_err();
    says(&error, &["previous: ", "files that inkstone did not write", "found `notes.txt`"]);
    assert_eq!(fs::read(run.path().join("previous/notes.txt")).unwrap(), b"mine");
    assert_is(&reopened(&run).load().unwrap(), 2);
    fs::remove_file(run.path().join("previous/notes.txt")).unwrap();
    save(&run, 3).unwrap();
    assert_is(&reopened(&run).load().unwrap(), 3);
}

#[test]
fn the_best_weights_and_the_result() {
    let (_dir, run) = new();
    assert!(run.load_best("run-a").is_err());
    for step in [5, 9] {
        run.save_best(&graph(), &contents(step)[0], &meta(), &state(step)).unwrap();
        let best = run.load_best("run-a").unwrap();
        assert_eq!((bits(&best.params), best.run.unwrap().step), (bits(&contents(step)[0]), step));
    }
    says(&run.load_best("run-b").unwrap_err(), &["best/model.safetensors", "expected run `run-b`, found `run-a`"]);
    let sha256 = run.save_result(&graph(), &params(), &meta(), 0).unwrap();
    let result = load_model(&run.model_path()).unwrap();
    assert_eq!((result.sha256, result.run), (sha256, None));
}

#[test]
fn a_run_is_replaced_only_by_force_and_nothing_else_ever() {
    let (_dir, run) = two_saves();
    for file in [run.config_path(), run.metrics_path(), run.path().join("thesis.tex")] {
        fs::write(file, b"text").unwrap();
    }
    run.save_best(&graph(), &params(), &meta(), &state(1)).unwrap();
    run.save_result(&graph(), &params(), &meta(), 0).unwrap();
    let before = listing(run.path());
    let error = RunDir::create(run.path(), false).unwrap_err();
    says(&error, &["expected a new or empty directory", "--force replaces it", "--resume"]);
    assert_eq!(listing(run.path()), before);
    assert_is(&reopened(&run).load().unwrap(), 2);

    fs::write(run.path().join("best/keep.txt"), b"mine").unwrap();
    says(&RunDir::create(run.path(), true).unwrap_err(), &["best: ", "found `keep.txt`"]);
    assert_is(&reopened(&run).load().unwrap(), 2);
    fs::remove_file(run.path().join("best/keep.txt")).unwrap();

    let run = RunDir::create(run.path(), true).unwrap();
    assert_eq!(listing(run.path()), [".inkstone-run", "thesis.tex"]);
    says(&RunDir::open(run.path()).unwrap_err(), &["expected a directory `last` or `previous`", "thesis.tex"]);
}

#[test]
fn a_marker_cut_short_by_a_kill_is_no_ones() {
    let dir = tempdir().unwrap();
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("..inkstone-run.7-0.tmp"), "A tr").unwrap();
    RunDir::create(&run, false).unwrap();
    assert_eq!(fs::read_dir(&run).unwrap().count(), 1, "the marker alone");
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("..inkstone-run.7-0.tmp"), "A tr").unwrap();
    fs::write(other.join("love.txt"), "x").unwrap();
    assert!(RunDir::create(&other, true).is_err(), "something else is there too");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 2);
}

#[test]
fn other_directories_are_left_alone() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), b"a project of somebody's").unwrap();
    for force in [false, true] {
        let error = RunDir::create(dir.path(), force).unwrap_err();
        says(&error, &["expected a new or empty directory, found config.toml"]);
    }
    assert_eq!(listing(dir.path()), ["config.toml"]);
    let file = dir.path().join("config.toml");
    says(&RunDir::create(&file, true).unwrap_err(), &["config.toml: cannot create: "]);
    says(&RunDir::open(&file).unwrap_err(), &["config.toml: cannot list: "]);
    says(&RunDir::open(&dir.path().join("none")).unwrap_err(), &["none: cannot list: "]);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    RunDir::create(&empty, false).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed_to_be_removed() {
    let (dir, run) = two_saves();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(run.path().join("previous"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, run.path().join("previous")).unwrap();
    says(&save(&run, 3).unwrap_err(), &["previous: ", "expected a directory, found a file or a link"]);
    assert_eq!(listing(&elsewhere).len(), 2);
}

/// A disk that fills up while a file is written: this test runs itself again where no file may grow past 512 bytes.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_ordinary_error() {
    const RUN: &str = "INKSTONE_TEST_FULL_DISK_RUN";
    if let Some(run) = std::env::var_os(RUN) {
        return on_a_full_disk(&RunDir::open(Path::new(&run)).unwrap());
    }
    let (_dir, run) = two_saves();
    run.save_result(&graph(), &params(), &meta(), 0).unwrap();
    let test = "checkpoint::tests::run_dir::a_full_disk_is_an_ordinary_error";
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ && ulimit -f 1 && exec \"$0\" --exact \"$1\""])
        .args([std::env::current_exe().unwrap().as_os_str(), test.as_ref()])
        .env(RUN, run.path())
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(unix)]
fn on_a_full_disk(run: &RunDir) {
    let (names, model) = (listing(run.path()), fs::read(run.model_path()).unwrap());
    let large = Graph::mlp(&[100], Op::Relu, Shape::new(&[1, 2, 2]).unwrap(), 2).unwrap();
    let params = numbers(large.param_count(), 0.0);
    let error = run.save_result(&large, &params, &meta(), 0).unwrap_err();
    says(&error, &["model.safetensors: cannot write: File too large"]);
    let error = run
        .save(&large, &params, &meta(), &state(3), Buffers { m: &params, v: &params, average: &params })
        .unwrap_err();
    says(&error, &["last.tmp/model.safetensors: cannot write: File too large"]);
    assert_eq!((listing(run.path()), fs::read(run.model_path()).unwrap()), (names, model));
    assert_is(&run.load().unwrap(), 2);
}

proptest! {
    /// Numbers come back to the bit: a resumed run must not differ.
    #[test]
    fn state_round_trips(
        loss_sum in -1e12f64..1e12, best_loss in proptest::option::of(0f64..1e3), seconds in 0f64..1e7,
        step in any::<u64>(), run_id in "\\PC{0,20}",
    ) {
        let sums = RunningSums { loss_sum, correct: step / 3, samples: step };
        let state = State { run_id, step, sums, best_loss, train_seconds: seconds, ..state(0) };
        let json = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
    }
}

#[test]
fn a_flipped_bit_in_the_optimizer_file_is_never_taken_for_a_state() {
    let (_dir, run) = new();
    save(&run, 1).unwrap();
    let file = run.path().join("last/optimizer.safetensors");
    let bytes = fs::read(&file).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&file, changed).unwrap();
        if let Ok(loaded) = run.load() {
            assert_is(&loaded, 1); // the byte was padding
        }
    }
}
