//! Word matches in the index: exact, by prefix, or with typos; closer matches score more.
//!
//! The dictionary is searched for matching terms, and each of their posting lists is read once. Scores are whole
//! numbers: the kind of match, with more for rare words and short names.

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::TermInfo;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, InvertedIndexReader, Searcher, SegmentReader, TERMINATED, Term};

/// Terms of the dictionary that one search word may match.
const MAX_TERMS: usize = 2_000;
/// The number of words that match outweighs their scores.
const MATCHED: u32 = 1 << 24;

/// The searched fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) id: Field,
    pub(super) sku: Field,
    pub(super) name: Field,
    pub(super) text: Field,
}

/// A search word and how rare it is: 0 when every second product has it, 1 more for each halving.
struct Word<'w> {
    text: &'w str,
    rarity: u32,
}

/// The scores of matches in a field: exact, by prefix, with typos; 0 is not searched.
struct Worth {
    exact: u32,
    begins: u32,
    mistyped: u32,
}

/// A commit of the index: its searcher, and the ids of each segment's documents.
pub(super) struct Committed {
    searcher: Searcher,
    ids: Vec<Vec<u32>>,
}

impl Committed {
    pub(super) fn new(searcher: Searcher) -> tantivy::Result<Self> {
        let ids = searcher.segment_readers().iter().map(|segment| {
            let column = segment.fast_fields().u64("id")?;
            let id = |doc| column.first(doc).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
            Ok((0..segment.max_doc()).map(id).collect())
        });
        Ok(Self { ids: ids.collect::<tantivy::Result<_>>()?, searcher })
    }

    /// Score and id of every product that matches all words; if none does, of those that match any.
    pub(super) fn hits(&self, fields: Fields, words: &[String]) -> tantivy::Result<Vec<(u32, u32)>> {
        let weighed = words.iter().map(|text| Ok(Word { text, rarity: rarity(&self.searcher, fields, text)? }));
        let weighed = weighed.collect::<tantivy::Result<Vec<_>>>()?;
        let all = u32::try_from(words.len()).unwrap_or(u32::MAX).saturating_mul(MATCHED);
        let (mut whole, mut partial) = (Vec::new(), Vec::new());
        for (segment, ids) in self.searcher.segment_readers().iter().zip(&self.ids) {
            let points = points(segment, fields, &weighed)?;
            let found = (0..).zip(points.into_iter().zip(ids)).filter(|(_, (points, _))| *points > 0);
            for (_, (points, id)) in found.filter(|(doc, _)| !segment.is_deleted(*doc)) {
                if points >= all {
                    whole.push((points, *id));
                } else if whole.is_empty() {
                    partial.push((points, *id));
                }
            }
        }
        Ok(if whole.is_empty() { partial } else { whole })
    }
}

fn rarity(searcher: &Searcher, fields: Fields, word: &str) -> tantivy::Result<u32> {
    let mut having = 1;
    for field in [fields.sku, fields.name, fields.text] {
        having = having.max(searcher.doc_freq(&Term::from_field_text(field, word))?);
    }
    let products = searcher.num_docs().max(1);
    Ok((products / having).checked_ilog2().unwrap_or(0))
}

/// The scores of every document of a segment.
fn points(segment: &SegmentReader, fields: Fields, words: &[Word<'_>]) -> tantivy::Result<Vec<u32>> {
    let documents = usize::try_from(segment.max_doc()).unwrap_or(0);
    let lengths = segment.get_fieldnorms_reader(fields.name)?;
    let (mut total, mut best) = (vec![0_u32; documents], vec![0_u32; documents]);
    for word in words {
        let sku = Worth { exact: 1_200, begins: 500, mistyped: 0 };
        let name = Worth { exact: 800, begins: 400, mistyped: 200 };
        let text = Worth { exact: 250, begins: 120, mistyped: 60 };
        find(&*segment.inverted_index(fields.sku)?, fields.sku, word, &sku, None, &mut best)?;
        find(&*segment.inverted_index(fields.name)?, fields.name, word, &name, Some(&lengths), &mut best)?;
        find(&*segment.inverted_index(fields.text)?, fields.text, word, &text, None, &mut best)?;
        for (total, best) in total.iter_mut().zip(&mut best).filter(|(_, best)| **best > 0) {
            *total += MATCHED + *best;
            *best = 0;
        }
    }
    Ok(total)
}

/// Searches for a word in a field, by every kind of match that scores.
fn find(
    index: &InvertedIndexReader,
    field: Field,
    word: &Word<'_>,
    worth: &Worth,
    lengths: Option<&FieldNormReader>,
    best: &mut [u32],
) -> tantivy::Result<()> {
    let mut give = |term: &TermInfo, points: u32| score(index, term, points * (4 + word.rarity), lengths, best);
    let terms = index.terms();
    let text = word.text.as_bytes();
    if let Some(exact) = terms.get(text)? {
        give(&exact, worth.exact)?;
    }
    let mut beginning = terms.range().gt(text).into_stream()?;
    for _ in 0..MAX_TERMS {
        match beginning.next() {
            Some((key, term)) if key.starts_with(text) => give(term, worth.begins)?,
            _ => break,
        }
    }
    let letters = word.text.chars().count();
    if worth.mistyped == 0 || letters < 4 || word.text.chars().any(|c| c.is_ascii_digit()) {
        return Ok(());
    }
    let distance = if letters >= 8 { 2 } else { 1 };
    let automaton = FuzzyTermQuery::new(Term::from_field_text(field, word.text), distance, true).automaton()?;
    let mut mistyped = terms.search(automaton).into_stream()?;
    for _ in 0..MAX_TERMS {
        match mistyped.next() {
            Some((key, _)) if key.starts_with(text) => {}
            Some((_, term)) => give(term, worth.mistyped)?,
            None => break,
        }
    }
    Ok(())
}

/// Raises the scores of a term's documents to its own; a short name scores up to half again as much.
fn score(
    index: &InvertedIndexReader,
    term: &TermInfo,
    points: u32,
    lengths: Option<&FieldNormReader>,
    best: &mut [u32],
) -> tantivy::Result<()> {
    let mut postings = index.read_postings_from_terminfo(term, IndexRecordOption::Basic)?;
    let mut doc = postings.doc();
    while doc != TERMINATED {
        let bonus = lengths.map_or(0, |lengths| points / (lengths.fieldnorm(doc) + 1));
        if let Some(best) = best.get_mut(usize::try_from(doc).unwrap_or(usize::MAX)) {
            *best = (*best).max(points + bonus);
        }
        doc = postings.advance();
    }
    Ok(())
}
