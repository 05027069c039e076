//! Models: to the bit, damaged, forged, of another network, of PyTorch.

use super::*;

fn saved() -> (TempDir, std::path::PathBuf, String) {
    let dir = tempdir().unwrap();
    let file = dir.path().join("model.safetensors");
    let sha256 = save_model(&file, &graph(), &params(), &meta(), 0).unwrap();
    (dir, file, sha256)
}

#[test]
fn round_trip_to_the_bit() {
    let (_dir, file, sha256) = saved();
    let model = load_model(&file).unwrap();
    assert_eq!((&model.graph, &model.meta, &model.run), (&graph(), &meta(), &None));
    assert_eq!(bits(&model.params), bits(&params()));
    assert_eq!(model.sha256, sha256);
    model.expect_graph(&file, &graph()).unwrap();
    let mut weights = vec![f32::NAN; params().len()];
    load_weights_into(&file, &graph(), &mut weights).unwrap();
    assert_eq!(bits(&weights), bits(&params()));
}

/// The format is a promise: this file, byte for byte.
#[test]
fn the_bytes_are_fixed() {
    let (dir, file, sha256) = saved();
    assert_eq!(sha256, "93dbc97289e8eaac4be02ec3365573d5d243d422cbd1458dfa1577491bf59dab");
    let again = dir.path().join("elsewhere.safetensors");
    assert_eq!(save_model(&again, &graph(), &params(), &meta(), 0).unwrap(), sha256);
    let bytes = fs::read(&file).unwrap();
    assert_eq!(bytes, fs::read(&again).unwrap());
    let len = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let metadata = header["__metadata__"].as_object().unwrap();
    assert_eq!(metadata.keys().collect::<Vec<_>>(), ["inkstone"]);
    let json: serde_json::Value = serde_json::from_str(metadata["inkstone"].as_str().unwrap()).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["body"]["classes"], serde_json::json!(["zero", "one"]));
    assert_eq!(header["1.weight"]["shape"], serde_json::json!([3, 4]));
    assert_eq!(header["3.bias"]["dtype"], "F32");
}

/// A tensor's name, type and sizes.
type Described = (&'static str, Dtype, &'static [usize]);

/// As `safetensors.torch.save_file(model.state_dict(), file, metadata={"format": "pt"})` writes it.
fn of_pytorch(tensors: &[Described], metadata: bool) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, shape)| vec![0x3f; shape.iter().product::<usize>() * dtype.bitsize() / 8])
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|(&(name, dtype, shape), bytes)| (name, TensorView::new(dtype, shape.to_vec(), bytes).unwrap()));
    let metadata = metadata.then(|| HashMap::from([("format".to_owned(), "pt".to_owned())]));
    safetensors::serialize(views.collect::<Vec<_>>(), metadata).unwrap()
}

const TENSORS: [Described; 4] = [
    ("1.weight", Dtype::F32, &[3, 4]),
    ("1.bias", Dtype::F32, &[3]),
    ("3.weight", Dtype::F32, &[2, 3]),
    ("3.bias", Dtype::F32, &[2]),
];

#[test]
fn weights_of_pytorch_start_a_training() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("torch.safetensors");
    for metadata in [false, true] {
        fs::write(&file, of_pytorch(&TENSORS, metadata)).unwrap();
        let mut weights = vec![0.0; graph().param_count()];
        load_weights_into(&file, &graph(), &mut weights).unwrap();
        assert_eq!(bits(&weights), vec![0x3f3f_3f3f; weights.len()]);
        let error = load_model(&file).unwrap_err();
        says(&error, &["torch.safetensors", "the metadata key `inkstone`", "--init"]);
    }
}

#[test]
fn weights_of_another_network_name_the_tensor() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("torch.safetensors");
    let refused = |change: &dyn Fn(&mut Vec<Described>)| {
        let mut tensors = TENSORS.to_vec();
        change(&mut tensors);
        fs::write(&file, of_pytorch(&tensors, true)).unwrap();
        let mut weights = vec![7.0; graph().param_count()];
        let error = load_weights_into(&file, &graph(), &mut weights).unwrap_err();
        assert!(weights.iter().all(|&weight| weight == 7.0), "nothing was overwritten");
        says(&error, &["torch.safetensors: "]);
        error
    };
    let error = refused(&|tensors| tensors[0].2 = &[4, 3]);
    says(&error, &["expected `1.weight` F32 [3, 4], found `1.weight` F32 [4, 3]"]);
    let error = refused(&|tensors| tensors[2].1 = Dtype::F16);
    says(&error, &["expected `3.weight` F32 [2, 3], found `3.weight` F16 [2, 3]"]);
    let error = refused(&|tensors| tensors[1].0 = "0.bias");
    says(&error, &["expected `1.bias` F32 [3], found no such tensor, but `0.bias`, `1.weight`, `3.bias`, `3.weight`"]);
    let error = refused(&|tensors| tensors.push(("5.bias", Dtype::F32, &[2])));
    says(&error, &["expected only `1.weight`, `1.bias`, `3.weight`, `3.bias`, found `5.bias` besides"]);
    let error = refused(&|tensors| tensors.clear());
    says(&error, &["found no such tensor, but no tensor"]);
    let error = load_weights_into(&file, &graph(), &mut [0.0; 3]).unwrap_err();
    says(&error, &["expected 23 values, found 3"]);
}

#[test]
fn a_model_of_another_network() {
    let (_dir, file, _) = saved();
    let other = Graph::mlp(&[5], Op::Relu, Shape::new(&[1, 2, 2]).unwrap(), 2).unwrap();
    let error = load_model(&file).unwrap().expect_graph(&file, &other).unwrap_err();
    says(
        &error,
        &[
            "model.safetensors",
            "expected 1x2x2 -> flatten, linear 4 -> 5, relu, linear 5 -> 2",
            "found 1x2x2 -> flatten, linear 4 -> 3, relu, linear 3 -> 2",
        ],
    );
}

#[test]
fn what_is_not_written() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("model.safetensors");
    let error = save_model(&file, &graph(), &params()[1..], &meta(), 0).unwrap_err();
    says(&error, &["model.safetensors", "expected 23 values, found 22"]);
    let error = save_model(&file, &graph(), &params(), &Meta { classes: vec![], ..meta() }, 0).unwrap_err();
    says(&error, &["expected 2 class names, found 0"]);
    for (mean, std) in [(f64::NAN, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, f64::INFINITY)] {
        let bad = Meta { normalize: Normalize::MeanStd { mean, std }, ..meta() };
        says(&save_model(&file, &graph(), &params(), &bad, 0).unwrap_err(), &["a positive deviation"]);
    }
    assert!(listing(dir.path()).is_empty());
}

/// Puts other JSON under the metadata key, tensors as they were.
fn with_json(bytes: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let len = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let json = change(header["__metadata__"]["inkstone"].as_str().unwrap());
    header["__metadata__"]["inkstone"] = json.into();
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + len..]].concat()
}

#[test]
fn metadata_is_not_trusted() {
    let (_dir, file, _) = saved();
    let bytes = fs::read(&file).unwrap();
    let refused = |from: &str, to: &str| {
        let changed = with_json(&bytes, |json| {
            assert!(json.contains(from), "{json}");
            json.replacen(from, to, 1)
        });
        fs::write(&file, changed).unwrap();
        load_model(&file).unwrap_err()
    };
    says(&refused("\"format\":1", "\"format\":2"), &["model.safetensors", "expected format 1, found format 2"]);
    says(&refused("{\"format\":1,", "{"), &["expected JSON with a version, found missing field `format`"]);
    says(&refused("\"in_features\":4", "\"in_features\":5"), &["layer 1 (linear)", "5 values", "found 4"]);
    says(&refused("\"body\":{", "\"body\":{\"extra\":1,"), &["unknown field `extra`"]);
    says(&refused("0.1307", "0.1308"), &["is damaged", "expected SHA-256"]);
    says(&refused("\"zero\"", "\"nil\""), &["is damaged"]);
    says(&refused("relu", "tanh"), &["is damaged"]);
    says(&refused("[1,2,2]", "[1,1,4]"), &["is damaged"]);
    fs::write(&file, with_json(&bytes, str::to_owned)).unwrap();
    load_model(&file).unwrap(); // the change itself was to blame
}

/// Whoever forges a file can seal it: what stands behind the seal is looked at too.
#[test]
fn what_is_sealed_is_not_trusted_either() {
    let (_dir, file, _) = saved();
    let bytes = fs::read(&file).unwrap();
    let forged = |from: &str, to: &str| {
        let changed = with_json(&bytes, |json| {
            assert!(json.contains(from), "{json}");
            json.replacen(from, to, 1)
        });
        fs::write(&file, &changed).unwrap();
        let CheckpointError::Rule { expected, found, .. } = load_model(&file).unwrap_err() else {
            panic!("{from}: the seal is another")
        };
        let seal = expected.strip_prefix("SHA-256 ").unwrap();
        fs::write(&file, with_json(&changed, |json| json.replacen(seal, &found, 1))).unwrap();
        load_model(&file)
    };
    let error = forged("[\"zero\",\"one\"]", "[\"zero\"]").unwrap_err();
    says(&error, &["each output of the network has a class name", "expected 2 class names, found 1"]);
    assert_eq!(forged("\"zero\"", "\"nil\"").unwrap().meta.classes, ["nil", "one"], "the seal was to blame");
    let tanh = Graph::mlp(&[3], Op::Tanh, Shape::new(&[1, 2, 2]).unwrap(), 2).unwrap();
    assert_eq!(forged("relu", "tanh").unwrap().graph, tanh);
}

#[test]
fn what_is_no_file_of_weights() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("x.safetensors");
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let error = load_model(&file).unwrap_err();
        says(&error, &["x.safetensors: ", "expected ", "found "]);
        error.to_string()
    };
    assert!(refused(b"").contains("found 0 bytes"));
    assert!(refused(b"PK\x03\x04").contains("found 4 bytes"));
    assert!(refused(&[0xff; 64]).contains("begin as no file of tensors does"));
    assert!(refused(b"what somebody wrote").contains("begin as no file of tensors does"));
    assert!(refused(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, b'{']).contains("a header of 4294967295 bytes, more than"));
    assert!(refused(&[9, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']).contains("a header of 9 bytes in a file of 10"));
    assert!(refused(&[2, 0, 0, 0, 0, 0, 0, 0, b'[', b']']).contains("no JSON object"));
    assert!(refused(&[2, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']).contains("metadata key"));
    says(&load_model(dir.path()).unwrap_err(), &["expected a regular file, found a directory"]);
    says(&load_model(&dir.path().join("none")).unwrap_err(), &["none: cannot read: "]);
}

/// Ends whose sum with the header's length overflows: the safetensors crate alone would wrap or panic.
#[test]
fn offsets_near_the_end_of_the_address_space() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("x.safetensors");
    let (quarter, mut end) = (1u64 << 61, 0u64);
    let mut header = String::from("{");
    for i in 0..8 {
        let size = if i == 7 { quarter - 100 } else { quarter };
        header += &format!("\"t{i}\":{{\"dtype\":\"U8\",\"shape\":[{size}],\"data_offsets\":[{end},{}]}},", end + size);
        end += size;
    }
    header.pop();
    header.push('}');
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    fs::write(&file, bytes).unwrap();
    says(&load_model(&file).unwrap_err(), &["x.safetensors", "tensor `t0` up to byte", "in a file of"]);
}

#[test]
fn a_file_cut_anywhere() {
    let (_dir, file, _) = saved();
    let bytes = fs::read(&file).unwrap();
    for len in 0..bytes.len() {
        let error = super::super::model::decode(&file, &bytes[..len]).unwrap_err();
        says(&error, &["model.safetensors: is truncated", "expected ", "found "]);
    }
    let longer = [&bytes[..], b"\0"].concat();
    says(&super::super::model::decode(&file, &longer).unwrap_err(), &["truncated"]);
}

/// A flipped byte is found, or stands where it means nothing (the padding of the header).
#[track_caller]
fn flip(bytes: &[u8], at: usize, mask: u8) {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= mask;
    if let Ok(model) = super::super::model::decode(Path::new("flipped"), &bytes) {
        assert_eq!((bits(&model.params), model.graph, model.meta), (bits(&params()), graph(), meta()));
    }
    if let Ok(contents) = super::super::sealed::Contents::parse(Path::new("flipped"), &bytes) {
        let _ = contents.tensors(Path::new("flipped"), &[("1.weight", &[3, 4])], &[]);
    }
}

#[test]
fn a_flipped_bit_anywhere() {
    let (_dir, file, _) = saved();
    let bytes = fs::read(&file).unwrap();
    for at in 0..bytes.len() {
        (0..8).for_each(|bit| flip(&bytes, at, 1 << bit));
    }
}

proptest! {
    #[test]
    fn any_byte_anywhere(at in any::<prop::sample::Index>(), mask in 1u8..) {
        let bytes = super::super::model::encode(Path::new("m"), &graph(), &params(), &meta(), 0, None).unwrap();
        flip(&bytes, at.index(bytes.len()), mask);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), header in "[ -~]{0,120}") {
        prop_assert!(super::super::model::decode(Path::new("m"), &bytes).is_err());
        let framed = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
        prop_assert!(super::super::model::decode(Path::new("m"), &framed).is_err());
    }
}
