//! Word matches in the index: exact, by prefix, or with typos. Closer matches score more.
//!
//! The dictionary is searched for matching terms, and each of their posting lists is read once. A score is a whole
//! number that depends on the kind of match, and is higher for rare words and short names.

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::TermInfo;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, InvertedIndexReader, Searcher, SegmentReader, TERMINATED, Term};

/// Maximum terms of the dictionary that a search word matches by prefix, and again with typos.
const MAX_TERMS: usize = 2_000;
/// Added for every matching word, so that the number of matching words outweighs how well they match.
const WORD_SCORE: u32 = 1 << 24;

/// The searched fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) id: Field,
    pub(super) sku: Field,
    pub(super) name: Field,
    pub(super) text: Field,
}

/// A search word and its rarity: 0 if more than half of the products have it, and 1 more for each halving.
struct Word<'w> {
    text: &'w str,
    rarity: u32,
}

/// The scores of matches in a field. Matches with typos are not searched if they score 0.
struct MatchScores {
    exact: u32,
    prefix: u32,
    typo: u32,
}

/// The index as of a commit: its searcher, and the product ids of each segment's documents.
pub(super) struct Snapshot {
    searcher: Searcher,
    ids: Vec<Vec<u32>>,
}

impl Snapshot {
    /// Reads the ids of all documents.
    pub(super) fn new(searcher: Searcher) -> tantivy::Result<Self> {
        let ids = searcher.segment_readers().iter().map(|segment| {
            let column = segment.fast_fields().u64("id")?;
            let id = |doc| column.first(doc).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
            Ok((0..segment.max_doc()).map(id).collect())
        });
        Ok(Self { ids: ids.collect::<tantivy::Result<_>>()?, searcher })
    }

    /// The score and id of every product that matches all words, or if none does, of every one that matches any.
    pub(super) fn hits(&self, fields: Fields, words: &[String]) -> tantivy::Result<Vec<(u32, u32)>> {
        let weighted = words.iter().map(|text| Ok(Word { text, rarity: rarity(&self.searcher, fields, text)? }));
        let weighted = weighted.collect::<tantivy::Result<Vec<_>>>()?;
        let full_match = u32::try_from(words.len()).unwrap_or(u32::MAX).saturating_mul(WORD_SCORE);
        let (mut full, mut partial) = (Vec::new(), Vec::new());
        for (segment, ids) in self.searcher.segment_readers().iter().zip(&self.ids) {
            let scores = document_scores(segment, fields, &weighted)?;
            let found = (0..).zip(scores.into_iter().zip(ids)).filter(|(_, (score, _))| *score > 0);
            for (_, (score, id)) in found.filter(|(doc, _)| !segment.is_deleted(*doc)) {
                if score >= full_match {
                    full.push((score, *id));
                } else if full.is_empty() {
                    partial.push((score, *id));
                }
            }
        }
        Ok(if full.is_empty() { partial } else { full })
    }
}

/// The rarity of a word, judged by the field in which it is most frequent.
fn rarity(searcher: &Searcher, fields: Fields, word: &str) -> tantivy::Result<u32> {
    let mut frequency = 1;
    for field in [fields.sku, fields.name, fields.text] {
        frequency = frequency.max(searcher.doc_freq(&Term::from_field_text(field, word))?);
    }
    let products = searcher.num_docs().max(1);
    Ok((products / frequency).checked_ilog2().unwrap_or(0))
}

/// The score of every document of a segment, by document number, or 0 for no match.
fn document_scores(segment: &SegmentReader, fields: Fields, words: &[Word<'_>]) -> tantivy::Result<Vec<u32>> {
    let documents = usize::try_from(segment.max_doc()).unwrap_or(0);
    let lengths = segment.get_fieldnorms_reader(fields.name)?;
    let (mut total, mut best) = (vec![0_u32; documents], vec![0_u32; documents]);
    for word in words {
        let sku = MatchScores { exact: 1_200, prefix: 500, typo: 0 };
        let name = MatchScores { exact: 800, prefix: 400, typo: 200 };
        let text = MatchScores { exact: 250, prefix: 120, typo: 60 };
        find(&*segment.inverted_index(fields.sku)?, fields.sku, word, &sku, None, &mut best)?;
        find(&*segment.inverted_index(fields.name)?, fields.name, word, &name, Some(&lengths), &mut best)?;
        find(&*segment.inverted_index(fields.text)?, fields.text, word, &text, None, &mut best)?;
        for (total, best) in total.iter_mut().zip(&mut best).filter(|(_, best)| **best > 0) {
            *total += WORD_SCORE + *best;
            *best = 0;
        }
    }
    Ok(total)
}

/// Searches for a word in a field by every kind of match that scores, and raises the scores in `best`.
fn find(
    index: &InvertedIndexReader,
    field: Field,
    word: &Word<'_>,
    match_scores: &MatchScores,
    lengths: Option<&FieldNormReader>,
    best: &mut [u32],
) -> tantivy::Result<()> {
    let mut raise = |term: &TermInfo, score: u32| raise_scores(index, term, score * (4 + word.rarity), lengths, best);
    let terms = index.terms();
    let text = word.text.as_bytes();
    if let Some(exact) = terms.get(text)? {
        raise(&exact, match_scores.exact)?;
    }
    let mut prefixed = terms.range().gt(text).into_stream()?;
    for _ in 0..MAX_TERMS {
        match prefixed.next() {
            Some((key, term)) if key.starts_with(text) => raise(term, match_scores.prefix)?,
            _ => break,
        }
    }
    let letters = word.text.chars().count();
    if match_scores.typo == 0 || letters < 4 || word.text.chars().any(|c| c.is_ascii_digit()) {
        return Ok(());
    }
    let distance = if letters >= 8 { 2 } else { 1 };
    let automaton = FuzzyTermQuery::new(Term::from_field_text(field, word.text), distance, true).automaton()?;
    let mut similar = terms.search(automaton).into_stream()?;
    for _ in 0..MAX_TERMS {
        match similar.next() {
            Some((key, _)) if key.starts_with(text) => {}
            Some((_, term)) => raise(term, match_scores.typo)?,
            None => break,
        }
    }
    Ok(())
}

/// Raises the scores of a term's documents to at least `score`. With `lengths`, short fields score up to half as much
/// again.
fn raise_scores(
    index: &InvertedIndexReader,
    term: &TermInfo,
    score: u32,
    lengths: Option<&FieldNormReader>,
    best: &mut [u32],
) -> tantivy::Result<()> {
    let mut postings = index.read_postings_from_terminfo(term, IndexRecordOption::Basic)?;
    let mut doc = postings.doc();
    while doc != TERMINATED {
        let bonus = lengths.map_or(0, |lengths| score / (lengths.fieldnorm(doc) + 1));
        if let Some(best) = best.get_mut(usize::try_from(doc).unwrap_or(usize::MAX)) {
            *best = (*best).max(score + bonus);
        }
        doc = postings.advance();
    }
    Ok(())
}
