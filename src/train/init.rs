//! First weights.

use crate::data::random::Random;
use crate::graph::Graph;

/// PyTorch's default for `Linear`: weights and biases uniform in `±1/√fan_in`.
///
/// Tensor `i` of [`Graph::params`] has its own stream of random numbers, so a tensor's values do not depend on what comes before it.
///
/// # Panics
/// If `params` is shorter than [`Graph::param_count`].
pub fn uniform(graph: &Graph, seed: u64, params: &mut [f32]) {
    for (i, param) in graph.params().iter().enumerate() {
        let bound = 1.0 / (param.fan_in as f64).sqrt();
        let mut random = Random::new(seed, "init", i as u64);
        for value in &mut params[param.range()] {
            *value = ((2.0 * f64::from(random.unit()) - 1.0) * bound) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Op;
    use crate::shape::Shape;

    #[test]
    fn values_fill_their_interval_and_depend_on_the_seed() {
        let graph = Graph::mlp(&[64], Op::Relu, Shape::new(&[1, 28, 28]).unwrap(), 10).unwrap();
        let (mut a, mut b) = (vec![9.0; graph.param_count()], vec![9.0; graph.param_count()]);
        uniform(&graph, 1, &mut a);
        uniform(&graph, 1, &mut b);
        assert_eq!(a, b);
        uniform(&graph, 2, &mut b);
        assert_ne!(a, b);
        for param in graph.params() {
            let values = &a[param.range()];
            let bound = 1.0 / (param.fan_in as f32).sqrt();
            let largest = values.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            assert!(largest <= bound && largest > 0.5 * bound, "{}: {largest} of {bound}", param.name);
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            // four standard errors of the mean of a uniform distribution
            assert!(mean.abs() < 4.0 * bound / (3.0 * values.len() as f32).sqrt(), "{}: {mean}", param.name);
        }
    }
}
