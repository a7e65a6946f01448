//! Several replications in three numbers.

/// The number below which a share of the values stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// 5 in 100 stay below.
    pub p5: f64,
    /// The median.
    pub p50: f64,
    /// 95 in 100 stay below.
    pub p95: f64,
}

impl Quantiles {
    /// The quantiles of the finite among `values`, interpolated between neighbours; `None` where there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Quantiles> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Quantiles {
            p5: quantile(&sorted, 0.05)?,
            p50: quantile(&sorted, 0.50)?,
            p95: quantile(&sorted, 0.95)?,
        })
    }
}

fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)?) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn quantiles_interpolate_and_leave_out_what_is_no_number() {
        let quantiles = Quantiles::of((0..=100).map(f64::from).chain([f64::NAN])).unwrap();
        assert_eq!((quantiles.p5, quantiles.p50, quantiles.p95), (5.0, 50.0, 95.0));
        assert_eq!(Quantiles::of([1.0, 2.0]).unwrap().p50, 1.5);
        assert_eq!(Quantiles::of([f64::INFINITY]), None);
    }
}
