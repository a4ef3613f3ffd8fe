//! A small line of history: one block for each span of time, as high as there was much to do.

/// From nothing to the most of the line.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws numbers, the oldest first, in so many cells. The height of each tells its share of the
/// largest one; only nothing at all has the lowest block, so that a single record is seen.
///
/// Where there are more numbers than cells, a cell stands for the mean of several; where there
/// are fewer, the cells of which nothing is known stand to the left and are the lowest as well.
pub(super) fn spark(numbers: &[f64], cells: usize) -> String {
    levels(numbers, cells).into_iter().map(|level| BLOCKS[level]).collect()
}

/// The index of the block of each cell.
fn levels(numbers: &[f64], cells: usize) -> Vec<usize> {
    let means = means(numbers, cells);
    let most = means.iter().copied().fold(0.0, f64::max);
    let level = |number: f64| {
        if number <= 0.0 || most <= 0.0 {
            return 0;
        }
        let highest = (BLOCKS.len() - 1) as f64;
        // The quotient is above 0 and at most 1.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 7, whatever the numbers are; a NaN becomes 0"
        )]
        let level = (number / most * highest).ceil().clamp(1.0, highest) as usize;
        level
    };
    means.into_iter().map(level).collect()
}

/// One number for each cell: the newest in the last one.
pub(super) fn means(numbers: &[f64], cells: usize) -> Vec<f64> {
    if cells == 0 {
        return Vec::new();
    }
    let each = numbers.len().div_ceil(cells).max(1);
    let mut means: Vec<f64> = numbers
        .rchunks(each)
        .map(|chunk| chunk.iter().filter(|number| number.is_finite()).sum::<f64>())
        .map(|sum| sum / each as f64)
        .collect();
    means.resize(cells, 0.0);
    means.reverse();
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_block_is_the_most_and_the_lowest_is_nothing() {
        assert_eq!(spark(&[0.0, 1.0, 2.0, 4.0, 8.0], 5), "▁▂▃▅█");
        assert_eq!(spark(&[0.0, 1.0, 1_000_000.0], 3), "▁▂█", "one record is seen");
        assert_eq!(spark(&[0.0; 4], 4), "▁▁▁▁");
    }

    #[test]
    fn the_newest_number_stands_to_the_right_whatever_the_width() {
        let mut numbers = [0.0; 32];
        numbers[31] = 5.0;
        for cells in 1..40 {
            let line = spark(&numbers, cells);
            assert_eq!(line.chars().count(), cells);
            assert!(line.ends_with('█'), "{line}");
            assert_eq!(line.matches('▁').count(), cells - 1, "{line}");
        }
        assert_eq!(spark(&[1.0], 3), "▁▁█");
    }

    #[test]
    fn numbers_that_are_none_do_no_harm() {
        assert_eq!(spark(&[f64::NAN, f64::INFINITY, -3.0, 1.0], 4), "▁▁▁█");
        assert_eq!(spark(&[], 3), "▁▁▁");
        assert_eq!(spark(&[1.0], 0), "");
    }
}
