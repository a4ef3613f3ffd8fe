//! Suggestions: the known word that somebody may have meant.

/// Below this similarity a suggestion puzzles more than it helps.
const SIMILAR: f64 = 0.65;

/// The word among `known` that looks most like `given`, if any does.
pub(crate) fn nearest(given: &str, known: &[&'static str]) -> Option<&'static str> {
    // Nobody mistypes a word into a long text, and the comparison is quadratic.
    if given.len() > 64 {
        return None;
    }
    let given = given.to_ascii_lowercase();
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(&given, word), *word))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_foreign_one_finds_none() {
        let known = ["time", "message", "level", "worker"];
        assert_eq!(nearest("timestamp", &known), Some("time"));
        assert_eq!(nearest("msg", &known), Some("message"));
        assert_eq!(nearest("LVL", &known), Some("level"));
        assert_eq!(nearest("wroker", &known), Some("worker"));
        assert_eq!(nearest("xyz", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest(&"time".repeat(100), &known), None);
    }
}
