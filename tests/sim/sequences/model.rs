//! A plain model of an order, its payment, goods and points after any sequence of operations, in minor units of the
//! currency.

/// The payment method of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Card,
    /// A card that requires an action of the buyer.
    CardWithAction,
    OnDelivery,
    Transfer,
    /// Points alone, without a payment.
    Points,
}

impl Method {
    pub(crate) const ALL: [Self; 5] =
        [Self::Card, Self::CardWithAction, Self::OnDelivery, Self::Transfer, Self::Points];
}

/// A line of the order.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) total: i64,
    /// Revenue: the total without tax.
    pub(crate) net: i64,
    pub(crate) shipped: i64,
    pub(crate) delivered: i64,
    pub(crate) returned: i64,
    /// Units that were returned before they were shipped.
    pub(crate) withdrawn: i64,
    /// Units that were returned but written off.
    pub(crate) written_off: i64,
}

impl Line {
    /// Units that can still be shipped.
    pub(crate) fn shippable(&self) -> i64 {
        self.quantity - self.shipped - self.withdrawn
    }

    /// Units that can still be returned.
    pub(crate) fn returnable(&self) -> i64 {
        self.quantity - self.returned
    }
}

/// Units by line.
pub(crate) type Units = Vec<i64>;

/// A requested return.
#[derive(Clone, Debug)]
pub(crate) struct Return {
    pub(crate) id: i64,
    pub(crate) units: Units,
    pub(crate) open: bool,
}

/// The effect of an approved return on money and points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReturnEffect {
    pub(crate) refund: i64,
    pub(crate) voided: i64,
    pub(crate) points: i64,
}

/// An order with its payment, returns and fulfilments.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) method: Method,
    pub(crate) status: &'static str,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: i64,
    pub(crate) shipping: i64,
    /// Points spent on the order.
    pub(crate) points: i64,
    pub(crate) points_value: i64,
    /// Points that the order earns.
    pub(crate) earned: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    pub(crate) voided: i64,
    /// Value of the returned goods.
    returned: i64,
    /// Points restored by returns.
    returned_points: i64,
    /// The part of the restored points that had paid for shipping.
    pub(crate) shipping_points: i64,
    /// Returned revenue.
    pub(crate) returned_net: i64,
    /// Shipping refunded by returns.
    shipping_refunded: i64,
    pub(crate) returns: Vec<Return>,
    /// Id, units, and whether the parcel was delivered.
    pub(crate) parcels: Vec<(i64, Units, bool)>,
}

/// A quotient of non-negative numbers, rounded half up.
fn rounded(dividend: i128, divisor: i128) -> i64 {
    i64::try_from((2 * dividend + divisor) / (2 * divisor)).unwrap()
}

/// The share of `whole` that belongs to units `before..before + now` of `quantity`.
fn share(whole: i64, quantity: i64, before: i64, now: i64) -> i64 {
    let running = |units: i64| rounded(i128::from(whole) * i128::from(units), i128::from(quantity));
    running(before + now) - running(before)
}

impl Model {
    pub(crate) fn new(
        method: Method,
        lines: Vec<Line>,
        (total, shipping): (i64, i64),
        points: (i64, i64, i64),
    ) -> Self {
        let captured = if method == Method::Card { total } else { 0 };
        Self {
            method,
            status: if method == Method::CardWithAction { "PENDING" } else { "CONFIRMED" },
            lines,
            total,
            shipping,
            points: points.0,
            points_value: points.1,
            earned: points.2,
            captured,
            refunded: 0,
            voided: 0,
            returned: 0,
            returned_points: 0,
            shipping_points: 0,
            returned_net: 0,
            shipping_refunded: 0,
            returns: Vec::new(),
            parcels: Vec::new(),
        }
    }

    /// The total of the goods.
    fn goods(&self) -> i64 {
        self.lines.iter().map(|line| line.total).sum()
    }

    /// The revenue of the goods.
    fn revenue(&self) -> i64 {
        self.lines.iter().map(|line| line.net).sum()
    }

    /// Money captured and not refunded.
    pub(crate) fn left(&self) -> i64 {
        self.captured - self.refunded
    }

    /// Money to be paid for the order, less what was voided.
    pub(crate) fn due(&self) -> i64 {
        self.total - self.voided
    }

    /// Whether a manual payment is still to be captured.
    pub(crate) fn awaits_payment(&self) -> bool {
        self.captured == 0
            && self.due() > 0
            && !self.is_over()
            && matches!(self.method, Method::OnDelivery | Method::Transfer)
    }

    /// Whether the order has reached its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, "CANCELLED" | "REFUNDED" | "FAILED")
    }

    pub(crate) fn all_returned(&self) -> bool {
        self.lines.iter().all(|line| line.returned == line.quantity)
    }

    /// Splits the next `now` of returned goods into money and points.
    fn split(&self, before: i64, now: i64) -> (i64, i64) {
        let whole = i128::from(self.goods());
        if whole == 0 || self.points == 0 {
            return (now, 0);
        }
        let for_goods = i128::from(self.points_value.min(self.goods()));
        let value = |part: i64| rounded(for_goods * i128::from(part), whole);
        let points = |part: i64| {
            rounded(i128::from(self.points) * for_goods * i128::from(part), i128::from(self.points_value) * whole)
        };
        (now - (value(before + now) - value(before)), points(before + now) - points(before))
    }

    /// The value of units and the revenue in it, or `None` when fewer units can be returned.
    fn value_of(&self, units: &Units) -> Option<(i64, i64)> {
        let (mut value, mut net) = (0, 0);
        for (line, units) in self.lines.iter().zip(units) {
            if *units > line.returnable() {
                return None;
            }
            value += share(line.total, line.quantity, line.returned, *units);
            net += share(line.net, line.quantity, line.returned, *units);
        }
        Some((value, net))
    }

    /// Units in open returns, by line.
    fn in_open_returns(&self) -> Units {
        let of_line = |at: usize| self.returns.iter().filter(|item| item.open).map(|item| item.units[at]).sum();
        (0..self.lines.len()).map(of_line).collect()
    }

    fn is_returnable(&self) -> bool {
        matches!(self.status, "CONFIRMED" | "PROCESSING" | "SHIPPED" | "DELIVERED" | "REFUNDED")
    }

    pub(crate) fn request_return(&mut self, units: &Units) -> Result<(), &'static str> {
        if !self.is_returnable() {
            return Err("NOT_RETURNABLE");
        }
        let open = self.in_open_returns();
        let fits = self.lines.iter().zip(units).zip(open).all(|((line, now), open)| now + open <= line.returnable());
        if fits { Ok(()) } else { Err("NOTHING_LEFT_TO_RETURN") }
    }

    /// The maximum shipping refund and the maximum fee of a return that refunds `shipping`.
    pub(crate) fn limits(&self, units: &Units, shipping: i64) -> (i64, i64) {
        let money = self.value_of(units).map_or(0, |(value, _)| self.split(self.returned, value).0);
        (self.shipping - self.shipping_refunded, money + self.split_shipping(shipping).0)
    }

    /// Splits the next `now` of refunded shipping into money and points.
    fn split_shipping(&self, now: i64) -> (i64, i64) {
        let by_points = (self.points_value - self.goods()).max(0);
        if by_points == 0 {
            return (now, 0);
        }
        let for_goods = if self.goods() == 0 { 0 } else { self.split(0, self.goods()).1 };
        let (before, whole) = (self.shipping_refunded, i128::from(self.shipping));
        let part = |all: i64, of: i64| rounded(i128::from(all) * i128::from(of), whole);
        let running = |all: i64| part(all, before + now) - part(all, before);
        (now - running(by_points), running(self.points - for_goods))
    }

    /// Approves a return with a shipping refund and a fee, or gives the code of the refusal.
    pub(crate) fn approve(
        &mut self,
        at: usize,
        (shipping, fee): (i64, i64),
        restock: bool,
    ) -> Result<ReturnEffect, &'static str> {
        let requested = self.returns[at].clone();
        if !requested.open {
            return Err("RETURN_DECIDED");
        }
        let Some((value, net)) = self.value_of(&requested.units) else { return Err("NOTHING_LEFT_TO_RETURN") };
        let (max_shipping, max_fee) = self.limits(&requested.units, shipping);
        if shipping > max_shipping {
            return Err("SHIPPING_REFUND_EXCEEDS_PAID");
        }
        if fee > max_fee {
            return Err("FEE_EXCEEDS_REFUND");
        }
        let (money, points) = self.split(self.returned, value);
        for (line, units) in self.lines.iter_mut().zip(&requested.units) {
            line.withdrawn += line.shippable().min(*units);
            line.returned += units;
            line.written_off += if restock { 0 } else { *units };
        }
        let (shipping_money, shipping_points) = self.split_shipping(shipping);
        let points = points + shipping_points;
        let effect = self.return_effect(money + shipping_money, fee, points);
        self.shipping_refunded += shipping;
        self.shipping_points += shipping_points;
        self.returned += value;
        self.returned_points += points;
        self.refunded += effect.refund;
        self.voided += effect.voided;
        self.returned_net = (self.returned_net + net).min(self.revenue());
        self.returns[at].open = false;
        self.update_status();
        Ok(effect)
    }

    /// The effect of a return of `amount` less `fee`: a refund, or a reduction of what is due.
    fn return_effect(&self, amount: i64, fee: i64, points: i64) -> ReturnEffect {
        if self.awaits_payment() {
            let reduction = if self.all_returned() { self.due() } else { amount.min(self.due()) };
            return ReturnEffect { refund: 0, voided: reduction - fee.min(reduction), points };
        }
        let refund = amount.min(self.left());
        ReturnEffect { refund: refund - fee.min(refund), voided: 0, points }
    }

    pub(crate) fn reject(&mut self, at: usize) -> Result<(), &'static str> {
        let requested = &mut self.returns[at];
        if !requested.open {
            return Err("RETURN_DECIDED");
        }
        requested.open = false;
        Ok(())
    }

    /// A refund without a return.
    pub(crate) fn refund(&mut self, amount: i64) -> Result<(), &'static str> {
        if amount > self.left() || amount == 0 {
            return Err("REFUND_EXCEEDS_CAPTURED");
        }
        let points = i128::from(self.points.max(1));
        let left_of_points = i128::from(self.points_value) * i128::from(self.points - self.returned_points);
        let paid = i128::from(self.total - self.voided - self.refunded) * points + left_of_points;
        let revenue_left = self.revenue() - self.returned_net;
        let is_everything = i128::from(amount) * points >= paid;
        let part = || rounded(i128::from(revenue_left) * i128::from(amount) * points, paid);
        self.returned_net += if is_everything { revenue_left } else { part() };
        self.refunded += amount;
        self.update_status();
        Ok(())
    }

    pub(crate) fn cancel(&mut self) -> Result<(), &'static str> {
        match self.status {
            "CANCELLED" => Ok(()),
            "PENDING" | "CONFIRMED" => {
                self.status = "CANCELLED";
                self.refunded = self.captured;
                self.returns.iter_mut().for_each(|item| item.open = false);
                Ok(())
            }
            _ => Err("NOT_CANCELLABLE"),
        }
    }

    pub(crate) fn void(&mut self) -> Result<(), &'static str> {
        if self.captured > 0 {
            return Err("INVALID_TRANSITION");
        }
        match self.status {
            // Voiding again has no effect, whatever the status of the order.
            _ if self.is_over() => Ok(()),
            "PROCESSING" | "SHIPPED" | "DELIVERED" if self.all_returned() => {
                self.voided = self.total;
                self.update_status();
                Ok(())
            }
            _ => self.cancel(),
        }
    }

    pub(crate) fn capture(&mut self) -> Result<(), &'static str> {
        if !self.awaits_payment() {
            return Err("INVALID_TRANSITION");
        }
        self.captured = self.due();
        Ok(())
    }

    /// The buyer confirms the payment with the provider.
    pub(crate) fn confirm(&mut self) -> Result<(), &'static str> {
        match (self.method, self.status) {
            (Method::CardWithAction, "PENDING") => {
                self.captured = self.total;
                self.status = "CONFIRMED";
                Ok(())
            }
            _ if self.captured > 0 && self.refunded == 0 => Ok(()),
            _ => Err("INVALID_TRANSITION"),
        }
    }

    pub(crate) fn ship(&mut self, units: &Units, confirm: bool) -> Result<(), &'static str> {
        if !matches!(self.status, "CONFIRMED" | "PROCESSING") {
            return Err("NOT_SHIPPABLE");
        }
        if units.iter().sum::<i64>() == 0 || self.lines.iter().zip(units).any(|(line, units)| *units > line.shippable())
        {
            return Err("NOTHING_LEFT_TO_SHIP");
        }
        // Units with the buyer after this shipment.
        let with_buyer = |line: &Line, now: i64| line.shipped + now - (line.returned - line.withdrawn);
        let value =
            |(line, now): (&Line, &i64)| share(line.total, line.quantity, line.returned, with_buyer(line, *now));
        let (needed, _) = self.split(self.returned, self.lines.iter().zip(units).map(value).sum());
        let on_delivery = self.method == Method::OnDelivery && self.awaits_payment();
        let secured = if on_delivery { self.due() } else { self.left() };
        if needed > secured && !confirm {
            return Err("UNPAID");
        }
        self.lines.iter_mut().zip(units).for_each(|(line, units)| line.shipped += units);
        self.update_status();
        Ok(())
    }

    pub(crate) fn deliver(&mut self, at: usize) {
        let (_, units, arrived) = &mut self.parcels[at];
        if !std::mem::replace(arrived, true) {
            self.lines.iter_mut().zip(units.iter()).for_each(|(line, units)| line.delivered += units);
            self.update_status();
        }
    }

    /// Updates the status by units and money. It never goes back to an earlier one.
    fn update_status(&mut self) {
        if self.is_over() || self.status == "PENDING" {
            return;
        }
        let is_refunded = self.left() == 0 && !self.awaits_payment();
        if self.all_returned() && is_refunded {
            self.status = "REFUNDED";
            return;
        }
        let sum = |part: fn(&Line) -> i64| self.lines.iter().map(part).sum::<i64>();
        let (to_ship, shipped) = (sum(|line| line.quantity - line.withdrawn), sum(|line| line.shipped));
        let delivered = if self.all_returned() { shipped } else { sum(|line| line.delivered) };
        let status = match (shipped, delivered) {
            (_, delivered) if delivered == to_ship => "DELIVERED",
            (0, _) => "CONFIRMED",
            (shipped, _) if shipped == to_ship => "SHIPPED",
            _ => "PROCESSING",
        };
        let rank =
            |status: &str| ["CONFIRMED", "PROCESSING", "SHIPPED", "DELIVERED"].iter().position(|item| *item == status);
        if rank(status) > rank(self.status) {
            self.status = status;
        }
    }

    /// Units of a line that are missing from the stock.
    pub(crate) fn out_of_stock(&self, line: &Line) -> i64 {
        if self.status == "CANCELLED" { line.written_off } else { line.quantity - line.returned + line.written_off }
    }

    /// The change of the buyer's points by the order.
    pub(crate) fn points_change(&self) -> i64 {
        match self.status {
            "CANCELLED" | "FAILED" => 0,
            "PENDING" => -self.points,
            _ => {
                let (earned, goods) = (i128::from(self.earned), self.goods());
                let revoked = if self.returned >= goods {
                    self.earned
                } else {
                    rounded(earned * i128::from(self.returned), i128::from(goods))
                };
                -self.points + self.returned_points + self.earned - revoked
            }
        }
    }
}
