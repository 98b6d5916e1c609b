//! The rows of `promotion_rules`: one per condition and action of a promotion, written together with its document.

use promox_contract::condition::Condition;
use promox_contract::ids::PromotionId;
use promox_kernel::Json;
use promox_storage::{StoreError, Tx};

use crate::records::{RuleKind, RuleRow};
use crate::rules::{ActionSpec, Members, Promotion};

/// The rows of a promotion's document: its conditions, each before those inside it, then its actions in order.
pub(crate) fn rows(id: PromotionId, document: &Promotion) -> Vec<RuleRow> {
    let mut rows = Vec::new();
    if let Some(when) = &document.when {
        add_condition(&mut rows, id, None, "/when".to_owned(), when);
    }
    for (number, action) in document.actions.iter().enumerate() {
        let row = action_row(blank(id, &rows, RuleKind::Action, format!("/actions/{number}")), action);
        rows.push(row);
    }
    rows
}

/// Replaces the rows of `before` by those of `after`. Unchanged rows are not written.
pub(crate) fn replace(
    tx: &mut Tx<'_>,
    id: PromotionId,
    before: Option<&Promotion>,
    after: Option<&Promotion>,
) -> Result<(), StoreError> {
    let rows_of = |document: Option<&Promotion>| document.map_or_else(Vec::new, |document| rows(id, document));
    let (old, new) = (rows_of(before), rows_of(after));
    for removed in old.iter().skip(new.len()) {
        tx.delete::<RuleRow>(&(id, removed.position))?;
    }
    for (at, row) in new.iter().enumerate() {
        if old.get(at) != Some(row) {
            tx.put(row)?;
        }
    }
    Ok(())
}

fn add_condition(
    rows: &mut Vec<RuleRow>,
    id: PromotionId,
    parent: Option<u32>,
    pointer: String,
    condition: &Condition,
) {
    let Condition { all, any, not, field, op, value, items } = condition;
    let kind = match (all, any, not) {
        (Some(_), _, _) => RuleKind::All,
        (_, Some(_), _) => RuleKind::Any,
        (_, _, Some(_)) => RuleKind::Not,
        _ => RuleKind::Comparison,
    };
    let row = RuleRow { parent, field: field.clone(), op: *op, ..blank(id, rows, kind, pointer.clone()) };
    let own = Some(row.position);
    rows.push(RuleRow { operand: Json(value.clone()), items: Json(items.as_deref().cloned()), ..row });
    for (name, members) in [("all", all), ("any", any)] {
        for (number, member) in members.iter().flatten().enumerate() {
            add_condition(rows, id, own, format!("{pointer}/{name}/{number}"), member);
        }
    }
    if let Some(not) = not {
        add_condition(rows, id, own, format!("{pointer}/not"), not);
    }
}

/// The next row, with only its position, kind and pointer set.
fn blank(promotion_id: PromotionId, before: &[RuleRow], kind: RuleKind, pointer: String) -> RuleRow {
    RuleRow {
        promotion_id,
        position: u32::try_from(before.len()).unwrap_or(u32::MAX),
        kind,
        pointer,
        parent: None,
        field: None,
        op: None,
        operand: Json(None),
        items: Json(None),
        action: None,
        value: None,
        scope: None,
        per: None,
        max_discount: None,
        max_units_per_line: None,
        max_applications: None,
        every: None,
        size: None,
        price: None,
        percent_off: None,
        amount_off: None,
        basis: None,
        sku: None,
        quantity: None,
        buy: Json(None),
        get: Json(None),
        parts: Json(None),
        tiers: Json(None),
    }
}

fn action_row(row: RuleRow, action: &ActionSpec) -> RuleRow {
    let members = Members::from(action.clone());
    RuleRow {
        action: Some(members.kind),
        value: members.value,
        scope: members.scope,
        items: Json(members.items),
        max_discount: members.max_discount,
        max_units_per_line: members.max_units_per_line,
        per: members.per,
        buy: Json(members.buy),
        get: Json(members.get),
        max_applications: members.max_applications,
        every: members.every,
        size: members.size,
        parts: Json(members.parts),
        price: members.price,
        percent_off: members.percent_off,
        amount_off: members.amount_off,
        basis: members.basis,
        tiers: Json(members.tiers),
        sku: members.sku,
        quantity: members.quantity,
        ..row
    }
}
