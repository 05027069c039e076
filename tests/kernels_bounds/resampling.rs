//! Images by affine maps and by displacements.

use crate::frame::{cases, on_every_isa, plans};
use crate::size::{edges, wild};
use inkstone::kernels::Isa;
use inkstone::kernels::affine::{self, Affine, Pixels, Warp};
use proptest::prelude::*;

/// Numbers of a map or a displacement: within an image, far outside, and beyond all whole numbers.
fn numbers() -> impl Strategy<Value = f32> {
    prop_oneof![4 => -2.0..2.0f32, 2 => -40.0..40.0f32, 1 => any::<f32>(), 1 => Just(f32::MAX)]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn mapped_images_stay_within_their_slices(
        plan in plans(),
        (h, w, oh, ow) in (1..12usize, edges(), 1..6usize, edges()),
        maps in prop::collection::vec([[numbers(), numbers(), numbers()], [numbers(), numbers(), numbers()]], 0..4),
        bytes in any::<bool>(),
    ) {
        let warp = Warp::new([h, w.max(1)], [oh, ow.max(1)]).unwrap();
        let finite = |map: &[[f32; 3]; 2]| map.iter().flatten().all(|x| x.is_finite());
        prop_assert!(maps.iter().all(|map| Affine::new(*map).is_ok() == finite(map)));
        let maps: Vec<Affine> = maps.into_iter().filter_map(|map| Affine::new(map).ok()).collect();
        on_every_isa(&plan, |isa, mut frame| {
            // Both kinds are handed out, one is used.
            let len = maps.len() * warp.input_len();
            let (floats, pixels) = (frame.input::<f32>(if bytes { 0 } else { len }), frame.input::<u8>(if bytes { len } else { 0 }));
            let mut out = frame.output(maps.len() * warp.output_len());
            let images = if bytes { Pixels::U8(&pixels) } else { Pixels::F32(&floats) };
            frame.expect(Some(images.len() == len && out.len() == maps.len() * warp.output_len()));
            let result = affine::affine_batch(isa, &warp, &maps, images, &mut out);
            frame.close(result, &[&floats, &pixels, &out])
        });
        let Some(map) = maps.first() else { return Ok(()) };
        on_every_isa(&plan, |isa, mut frame| {
            let (image, mut out) = (frame.input::<f32>(warp.input_len()), frame.output(warp.output_len()));
            let result = affine::affine(isa, &warp, map, Pixels::from(&*image), &mut out);
            frame.close(result, &[&image, &out])
        });
    }

    #[test]
    fn displaced_images_stay_within_their_slices(
        plan in plans(),
        (h, w, oh, ow) in (1..12usize, edges(), 1..6usize, edges()),
        far in prop_oneof![Just(1.0f32), Just(30.0), Just(1e30), Just(f32::INFINITY)],
        bytes in any::<bool>(),
    ) {
        let warp = Warp::new([h, w.max(1)], [oh, ow.max(1)]).unwrap();
        on_every_isa(&plan, |isa, mut frame| {
            let len = warp.input_len();
            let (floats, pixels) = (frame.input::<f32>(if bytes { 0 } else { len }), frame.input::<u8>(if bytes { len } else { 0 }));
            let (dx, dy) = (frame.input::<f32>(warp.output_len()), frame.input::<f32>(warp.output_len()));
            let (dx, dy) = (dx.map(|_, d| d * far), dy.map(|i, d| if i % 7 == 0 { f32::NAN } else { d * far }));
            let mut out = frame.output(warp.output_len());
            let image = if bytes { Pixels::U8(&pixels) } else { Pixels::F32(&floats) };
            let fields = [dx.len(), dy.len(), out.len()].iter().all(|len| *len == warp.output_len());
            frame.expect(Some(fields && image.len() == len && !image.is_empty()));
            let result = affine::displace(isa, &warp, image, [&dx, &dy], &mut out);
            frame.close(result, &[&floats, &pixels, &dx, &dy, &out])
        });
    }

    #[test]
    fn images_of_any_size_are_refused_or_lead_to_refusals(input in [wild(), wild()], output in [wild(), wild()], maps in 0..3usize) {
        let Ok(warp) = Warp::new(input, output) else { return Ok(()) };
        let (lens, mut out) = ((warp.input_len(), warp.output_len()), [f32::NAN; 64]);
        prop_assert_eq!(lens, (input[0] * input[1], output[0] * output[1]));
        let maps = vec![Affine::IDENTITY; maps];
        for isa in Isa::available() {
            let len = (maps.len() * lens.1).min(64);
            let pixels = vec![1; (maps.len() * lens.0).min(1 << 12)];
            let result = affine::affine_batch(isa, &warp, &maps, Pixels::U8(&pixels), &mut out[..len]);
            prop_assert_eq!(result.is_ok(), pixels.len() == maps.len() * lens.0 && len == maps.len() * lens.1);
        }
    }
}
