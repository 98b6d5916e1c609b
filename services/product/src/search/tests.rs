//! The index compared with a plain model that examines every product.

use std::collections::BTreeMap;

use promox_contract::ids::{ProductId, VariantId};
use promox_kernel::{Amount, Currency, Json, Timestamp};
use proptest::prelude::*;

use super::index::{IndexPlace, SearchIndex};
use crate::records::{Product, ProductStatus, Variant};
use crate::rules::words;

/// Words that are rare, frequent, prefixes of each other, similar, and of different lengths.
const WORDS: [&str; 18] = [
    "red",
    "redo",
    "lamp",
    "lamps",
    "lmap",
    "clamp",
    "kettle",
    "kettles",
    "ketlte",
    "mettle",
    "lighthouse",
    "lighthouses",
    "lihgthouse",
    "nighthouse",
    "10",
    "100",
    "1000",
    "a",
];

/// A product whose name, text and SKU consist of words.
fn product(id: i64, sku: u8, name: &[usize], text: &[usize]) -> Product {
    let join = |words: &[usize]| words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ");
    let sku: promox_kernel::Sku = format!("{}-{id}", WORDS[usize::from(sku) % WORDS.len()]).parse().unwrap();
    let variant = Variant {
        id: VariantId(id),
        sku: sku.clone(),
        former: Vec::new(),
        name: String::new(),
        options: BTreeMap::new(),
        price: Amount::ZERO,
        compare_at_price: None,
        barcode: None,
        cost: None,
    };
    Product {
        id: ProductId(id),
        sku,
        name: join(name),
        slug: format!("p{id}"),
        description: join(text),
        status: ProductStatus::Active,
        currency: Currency::GBP,
        category_ids: Json(Vec::new()),
        attributes: Json(BTreeMap::new()),
        images: Json(Vec::new()),
        tax_class: String::new(),
        weight_grams: None,
        discountable: true,
        floor_price: None,
        variants: Json(vec![variant]),
        version: 1,
        epoch: 1,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

/// The number of inserted, removed, replaced and swapped letters between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

/// The words of a product's SKUs, name and text.
fn fields(product: &Product) -> [Vec<String>; 3] {
    // The SKU is indexed for the product and for its variant.
    let sku = words(product.sku.as_str());
    [sku.iter().chain(&sku).cloned().collect(), words(&product.name), words(&product.description)]
}

/// The score of a word in a product, or 0 if it does not match.
fn score(word: &str, rarity: u32, product: &Product) -> u32 {
    let tolerant = word.chars().count() >= 4 && !word.chars().any(|c| c.is_ascii_digit());
    let most_typos = if word.chars().count() >= 8 { 2 } else { 1 };
    let [sku, name, text] = fields(product);
    let mut best = 0;
    for (terms, [exact, prefix, typo], is_name) in
        [(sku, [1_200, 500, 0], false), (name, [800, 400, 200], true), (text, [250, 120, 60], false)]
    {
        for term in &terms {
            let base = if term == word {
                exact
            } else if term.starts_with(word) {
                prefix
            } else if tolerant && distance(term, word) <= most_typos {
                typo
            } else {
                0
            };
            let score = base * (4 + rarity);
            let length = u32::try_from(terms.len()).unwrap();
            best = best.max(score + if is_name { score / (length + 1) } else { 0 });
        }
    }
    best
}

/// The hits of a query by examining every product, by id.
fn model(products: &BTreeMap<i64, Product>, query: &[String]) -> BTreeMap<u32, u32> {
    let rarity = |word: &String| {
        let has = |field: usize| products.values().filter(|row| fields(row)[field].contains(word)).count();
        let frequency = (0..3).map(has).max();
        let count = u64::try_from(products.len().max(1)).unwrap();
        (count / u64::try_from(frequency.unwrap().max(1)).unwrap()).checked_ilog2().unwrap_or(0)
    };
    let weighted: Vec<(&String, u32)> = query.iter().map(|word| (word, rarity(word))).collect();
    let (mut full, mut partial) = (BTreeMap::new(), BTreeMap::new());
    for (id, product) in products {
        let scores: Vec<u32> = weighted.iter().map(|(word, rarity)| score(word, *rarity, product)).collect();
        let total = scores.iter().filter(|score| **score > 0).map(|score| (1 << 24) + score).sum::<u32>();
        let id = u32::try_from(*id).unwrap();
        if scores.iter().all(|score| *score > 0) {
            full.insert(id, total);
        } else if total > 0 {
            partial.insert(id, total);
        }
    }
    if full.is_empty() { partial } else { full }
}

/// The words of a product's SKU, name and text, by their index in `WORDS`.
type Content = (u8, Vec<usize>, Vec<usize>);

/// Frequent words and rare ones, so that posting lists differ in length.
fn content() -> impl Strategy<Value = Content> {
    let word = || prop_oneof![4 => 0..3_usize, 2 => 3..8_usize, 1 => 8..WORDS.len()];
    (any::<u8>(), prop::collection::vec(word(), 1..5), prop::collection::vec(word(), 0..6))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn hits_are_those_of_a_full_examination(
        commits in prop::collection::vec(prop::collection::vec((1..120_i64, content()), 1..60), 1..4),
        queries in prop::collection::vec(prop::collection::vec(0..WORDS.len(), 1..4), 1..12),
    ) {
        let index = SearchIndex::open(&IndexPlace::Memory).unwrap();
        let (mut products, mut replaced) = (BTreeMap::new(), false);
        for (epoch, commit) in (1..).zip(commits) {
            let commit: BTreeMap<i64, Content> = commit.into_iter().collect();
            let rows: Vec<Product> = commit.iter().map(|(id, (sku, name, text))| product(*id, *sku, name, text)).collect();
            index.put(&rows).unwrap();
            index.commit(epoch).unwrap();
            for row in rows {
                replaced |= products.insert(row.id.0, row).is_some();
            }
        }
        for query in queries {
            let query: Vec<String> = query.into_iter().map(|word| WORDS[word].to_owned()).collect();
            let hits = index.hits(&query).unwrap();
            let found: BTreeMap<u32, u32> = hits.iter().map(|(score, id)| (*id, *score)).collect();
            prop_assert_eq!(hits.len(), found.len(), "each product once");
            let want = model(&products, &query);
            if replaced {
                // A replaced document still counts for the rarity of its words until segments are merged, so only the
                // products are compared.
                prop_assert!(found.keys().eq(want.keys()), "{query:?}");
            } else {
                prop_assert_eq!(found, want, "{:?}", query);
            }
        }
    }
}
