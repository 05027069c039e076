//! Valid images, and how their fields are changed by name.

use crate::image_support::{Build, Window, samples};
use inkstone::export::image::{Image, seal, write};
use inkstone::runtime::format::{HEADER, HEADER_FIELDS, NONE, STEP, STEP_FIELDS, TENSOR, TENSOR_FIELDS, align};
use inkstone::runtime::{ImageError, Kind, Model};
use std::collections::BTreeMap;

/// Where a field lies: its first byte, and bytes.
pub(crate) type Place = (usize, usize);

/// A valid image, to be changed.
pub(crate) struct Draft(pub(crate) Vec<u8>);

impl Draft {
    fn place(fields: &[(&str, usize, usize)], from: usize, name: &str) -> Place {
        let found = fields.iter().find(|(field, ..)| *field == name);
        let &(_, at, len) = found.unwrap_or_else(|| panic!("there is no field {name}"));
        (from + at, len)
    }

    pub(crate) fn head_at(name: &str) -> Place {
        Self::place(&HEADER_FIELDS, 0, name)
    }

    pub(crate) fn tensor_at(tensor: usize, name: &str) -> Place {
        Self::place(&TENSOR_FIELDS, HEADER + tensor * TENSOR, name)
    }

    pub(crate) fn step_at(&self, step: usize, name: &str) -> Place {
        let first = align(HEADER + self.get(Self::head_at("tensors")) as usize * TENSOR);
        Self::place(&STEP_FIELDS, first + step * STEP, name)
    }

    pub(crate) fn get(&self, (at, len): Place) -> u32 {
        self.0[at..at + len].iter().rev().fold(0, |number, byte| (number << 8) | u32::from(*byte))
    }

    /// The low bytes of `value`, as many as the field has.
    pub(crate) fn set(&mut self, (at, len): Place, value: u32) {
        self.0[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }

    pub(crate) fn head(&mut self, name: &str, value: u32) {
        self.set(Self::head_at(name), value);
    }

    pub(crate) fn tensor(&mut self, tensor: usize, name: &str, value: u32) {
        self.set(Self::tensor_at(tensor, name), value);
    }

    pub(crate) fn step(&mut self, step: usize, name: &str, value: u32) {
        self.set(self.step_at(step, name), value);
    }

    /// A word of the constants of a step, `at` bytes from their first.
    pub(crate) fn constant(&mut self, step: usize, at: usize, value: i32) {
        let first = self.get(self.step_at(step, "constants")) as usize;
        self.set((first + at, 4), value as u32);
    }

    /// Other bytes in the end, and a header that knows of it.
    pub(crate) fn resize(&mut self, len: usize) {
        self.0.resize(len, 0);
        self.head("length", len as u32);
    }

    /// The arena ends where the tensors do.
    pub(crate) fn fit(&mut self) {
        let end = |tensor: usize| {
            let field = |name| self.get(Self::tensor_at(tensor, name)) as usize;
            let bytes = if field("element") == 3 { 4 } else { 1 };
            align(field("offset") + field("channels") * field("rows") * field("cols") * bytes)
        };
        let arena = (0..self.get(Self::head_at("tensors")) as usize).map(end).max().unwrap_or(0);
        self.head("arena", arena as u32);
    }

    /// Puts the tensors at these places, and all scratch behind them.
    pub(crate) fn lay(&mut self, offsets: &[u32]) {
        for (tensor, offset) in offsets.iter().enumerate() {
            self.tensor(tensor, "offset", *offset);
        }
        for step in 0..offsets.len() - 1 {
            self.step(step, "scratch", NONE.into());
        }
        self.fit();
    }

    /// What is read of it, its checksum set right.
    pub(crate) fn read(mut self) -> Result<(), ImageError> {
        seal(&mut self.0);
        Model::new(Image::copy(&self.0).bytes()).map(|_| ())
    }
}

pub(crate) type Images = BTreeMap<&'static str, Vec<u8>>;

/// All images, by name. Those that end in `-laid` have the tensors at known places; larger ones are as large as a rule allows.
pub(crate) fn images() -> Images {
    let mut programs = samples();
    let image = [2, 5, 6];
    let mut twice = Build::new(Kind::I8, image, 1);
    let map = twice.map(1);
    twice.add(map, map);
    programs.push(("i8-twice", twice.done()));
    let mut same = Build::new(Kind::I8, image, 1);
    same.conv(1, 2, Window::new(3, 1, 1), 1, false, false);
    programs.push(("i8-same", same.done()));
    // As many products as a sum of bytes may have.
    let mut long = Build::new(Kind::I8, [131_071, 1, 1], 1);
    long.dense(1, 1, false);
    programs.push(("i8-long", long.done()));
    if cfg!(target_pointer_width = "64") {
        // As many pixels as an image that is normalised by itself may have.
        let mut large = Build::new(Kind::I8, [1, 4096, 4096], 1).per_image();
        large.max_pool(1, Window::new(1, 255, 0));
        let mut large = large.done();
        (large.steps[0].multipliers, large.steps[0].shift) = ([32 << 10, 0], 10);
        programs.push(("i8-large", large));
        // Nearly as many as a plane may have.
        let mut plane = Build::new(Kind::I8, [1, 32_767, 65_535], 1);
        let pooled = plane.max_pool(1, Window::new(2, 255, 1));
        plane.max_pool(pooled, Window::new(1, 255, 0));
        programs.push(("i8-plane", plane.done()));
    }
    let bytes = |(name, program)| match write(&program) {
        Ok(image) => (name, image.bytes().to_vec()),
        Err(error) => panic!("{name}: {error}"),
    };
    let mut images: Images = programs.into_iter().map(bytes).collect();
    let laid: [(&str, &str, &[u32]); 6] = [
        ("i8-dense", "i8-dense-laid", &[0, 0, 64]),
        ("i8-map", "i8-map-laid", &[0, 0, 0]),
        ("i8-add", "i8-add-laid", &[0, 0, 64, 64]),
        ("i8-twice", "i8-twice-laid", &[0, 0, 0, 64]),
        ("i8-same", "i8-same-laid", &[0, 0, 64]),
        ("f32-pixels", "f32-pixels-laid", &[0, 64]),
    ];
    for (name, laid, offsets) in laid {
        let mut draft = Draft(images[name].clone());
        draft.lay(offsets);
        seal(&mut draft.0);
        images.insert(laid, draft.0);
    }
    images
}
