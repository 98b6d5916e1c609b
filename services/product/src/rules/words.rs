//! Words: how texts are split for search, comparison and slugs.

use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};

/// Maximum bytes of a word of a product. Longer ones cannot be found.
const MAX_WORD_LEN: usize = 64;

/// Splits the words of a search like those of products. A word that is too long to be a product's is kept, so that it
/// finds nothing.
pub(crate) fn search_words(text: &str) -> Vec<String> {
    let analyzer = TextAnalyzer::builder(SimpleTokenizer::default()).filter(LowerCaser).filter(AsciiFoldingFilter);
    tokens(analyzer.build(), text)
}

/// Splits a text into runs of letters and digits, in lower case and without accents.
pub(crate) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_LEN))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// The words of a text, in order.
pub(crate) fn words(text: &str) -> Vec<String> {
    tokens(analyzer(), text)
}

fn tokens(mut analyzer: TextAnalyzer, text: &str) -> Vec<String> {
    let mut stream = analyzer.token_stream(text);
    let mut words = Vec::new();
    while let Some(token) = stream.next() {
        words.push(token.text.clone());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_have_neither_case_nor_accents() {
        assert_eq!(words("Crème-brûlée  T-LIGHT 85123A"), ["creme", "brulee", "t", "light", "85123a"]);
        assert!(words(" -- ").is_empty());
    }
}
