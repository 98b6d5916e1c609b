//! What an order, its payment, its goods and its points must be after any sequence, in whole minor units and without a store.

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Card,
    /// A card whose buyer has to confirm first.
    Action,
    OnDelivery,
    Transfer,
    /// By points alone: there is no payment.
    Points,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [Self::Card, Self::Action, Self::OnDelivery, Self::Transfer, Self::Points];
}

/// A line: what it costs, what of that is revenue, and where its units are.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) total: i64,
    pub(crate) net: i64,
    pub(crate) shipped: i64,
    pub(crate) delivered: i64,
    pub(crate) returned: i64,
    pub(crate) withdrawn: i64,
    /// Units that were returned and not put back.
    pub(crate) lost: i64,
}

impl Line {
    pub(crate) fn shippable(&self) -> i64 {
        self.quantity - self.shipped - self.withdrawn
    }

    pub(crate) fn returnable(&self) -> i64 {
        self.quantity - self.returned
    }
}

/// Units by line.
pub(crate) type Units = Vec<i64>;

/// A return that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) id: i64,
    pub(crate) units: Units,
    pub(crate) open: bool,
}

/// What a return gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gives {
    pub(crate) refund: i64,
    pub(crate) voided: i64,
    pub(crate) points: i64,
}

/// An order with all that hangs on it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) way: Way,
    pub(crate) status: &'static str,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: i64,
    pub(crate) shipping: i64,
    pub(crate) points: i64,
    pub(crate) points_value: i64,
    pub(crate) earned: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    pub(crate) voided: i64,
    returned: i64,
    returned_points: i64,
    /// Those of them that shipping was paid with.
    pub(crate) shipping_points: i64,
    pub(crate) returned_net: i64,
    shipping_given: i64,
    pub(crate) asked: Vec<Asked>,
    pub(crate) parcels: Vec<(i64, Units, bool)>,
}

/// A quotient of nothing negative, rounded half up.
fn rounded(dividend: i128, divisor: i128) -> i64 {
    i64::try_from((2 * dividend + divisor) / (2 * divisor)).unwrap()
}

/// What units `before..before + now` of `quantity` have of `whole`.
fn share(whole: i64, quantity: i64, before: i64, now: i64) -> i64 {
    let running = |units: i64| rounded(i128::from(whole) * i128::from(units), i128::from(quantity));
    running(before + now) - running(before)
}

impl Model {
    pub(crate) fn new(way: Way, lines: Vec<Line>, (total, shipping): (i64, i64), points: (i64, i64, i64)) -> Self {
        let captured = if way == Way::Card { total } else { 0 };
        Self {
            way,
            status: if way == Way::Action { "PENDING" } else { "CONFIRMED" },
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
            shipping_given: 0,
            asked: Vec::new(),
            parcels: Vec::new(),
        }
    }

    fn goods(&self) -> i64 {
        self.lines.iter().map(|line| line.total).sum()
    }

    fn revenue(&self) -> i64 {
        self.lines.iter().map(|line| line.net).sum()
    }

    /// Captured and not given back.
    pub(crate) fn left(&self) -> i64 {
        self.captured - self.refunded
    }

    pub(crate) fn due(&self) -> i64 {
        self.total - self.voided
    }

    /// Whether the money is still to come.
    pub(crate) fn waits(&self) -> bool {
        self.captured == 0 && self.due() > 0 && !self.is_over() && matches!(self.way, Way::OnDelivery | Way::Transfer)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, "CANCELLED" | "REFUNDED" | "FAILED")
    }

    pub(crate) fn all_back(&self) -> bool {
        self.lines.iter().all(|line| line.returned == line.quantity)
    }

    /// How goods worth `now` more are paid back: money and points.
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

    /// What the units are worth and what of it is revenue; nothing when there are not so many.
    fn worth(&self, units: &Units) -> Option<(i64, i64)> {
        let mut sums = (0, 0);
        for (line, units) in self.lines.iter().zip(units) {
            if *units > line.returnable() {
                return None;
            }
            sums.0 += share(line.total, line.quantity, line.returned, *units);
            sums.1 += share(line.net, line.quantity, line.returned, *units);
        }
        Some(sums)
    }

    /// Units that others have asked to return already.
    fn waiting(&self) -> Units {
        let of_line = |at: usize| self.asked.iter().filter(|asked| asked.open).map(|asked| asked.units[at]).sum();
        (0..self.lines.len()).map(of_line).collect()
    }

    fn returnable(&self) -> bool {
        matches!(self.status, "CONFIRMED" | "PROCESSING" | "SHIPPED" | "DELIVERED" | "REFUNDED")
    }

    pub(crate) fn ask(&mut self, units: &Units) -> Result<(), &'static str> {
        if !self.returnable() {
            return Err("NOT_RETURNABLE");
        }
        let waiting = self.waiting();
        let fits = self.lines.iter().zip(units).zip(waiting).all(|((line, now), w)| now + w <= line.returnable());
        if fits { Ok(()) } else { Err("NOTHING_LEFT_TO_RETURN") }
    }

    /// What a return may give back of the shipping, and keep as a fee, at most.
    pub(crate) fn limits(&self, units: &Units, shipping: i64) -> (i64, i64) {
        let worth = self.worth(units).map_or(0, |(worth, _)| self.split(self.returned, worth).0);
        (self.shipping - self.shipping_given, worth + self.split_shipping(shipping).0)
    }

    /// How shipping worth `now` more is paid back: money and points.
    fn split_shipping(&self, now: i64) -> (i64, i64) {
        let by_points = (self.points_value - self.goods()).max(0);
        if by_points == 0 {
            return (now, 0);
        }
        let for_goods = if self.goods() == 0 { 0 } else { self.split(0, self.goods()).1 };
        let (before, whole) = (self.shipping_given, i128::from(self.shipping));
        let part = |all: i64, of: i64| rounded(i128::from(all) * i128::from(of), whole);
        let running = |all: i64| part(all, before + now) - part(all, before);
        (now - running(by_points), running(self.points - for_goods))
    }

    pub(crate) fn approve(
        &mut self,
        at: usize,
        (shipping, fee): (i64, i64),
        restock: bool,
    ) -> Result<Gives, &'static str> {
        let asked = self.asked[at].clone();
        if !asked.open {
            return Err("RETURN_DECIDED");
        }
        let Some((worth, net)) = self.worth(&asked.units) else { return Err("NOTHING_LEFT_TO_RETURN") };
        let (most_shipping, most_fee) = self.limits(&asked.units, shipping);
        if shipping > most_shipping {
            return Err("SHIPPING_REFUND_EXCEEDS_PAID");
        }
        if fee > most_fee {
            return Err("FEE_EXCEEDS_REFUND");
        }
        let (money, points) = self.split(self.returned, worth);
        for (line, units) in self.lines.iter_mut().zip(&asked.units) {
            let with_buyer = line.shipped - (line.returned - line.withdrawn);
            line.withdrawn += (units - with_buyer).max(0);
            line.returned += units;
            line.lost += if restock { 0 } else { *units };
        }
        let (shipping_money, shipping_points) = self.split_shipping(shipping);
        let points = points + shipping_points;
        let gives = self.gives(money + shipping_money, fee, points);
        self.shipping_given += shipping;
        self.shipping_points += shipping_points;
        self.returned += worth;
        self.returned_points += points;
        self.refunded += gives.refund;
        self.voided += gives.voided;
        self.returned_net = (self.returned_net + net).min(self.revenue());
        self.asked[at].open = false;
        self.settle();
        Ok(gives)
    }

    fn gives(&self, amount: i64, fee: i64, points: i64) -> Gives {
        if self.waits() {
            let off = if self.all_back() { self.due() } else { amount.min(self.due()) };
            return Gives { refund: 0, voided: off - fee.min(off), points };
        }
        let back = amount.min(self.left());
        Gives { refund: back - fee.min(back), voided: 0, points }
    }

    pub(crate) fn reject(&mut self, at: usize) -> Result<(), &'static str> {
        let asked = &mut self.asked[at];
        if !asked.open {
            return Err("RETURN_DECIDED");
        }
        asked.open = false;
        Ok(())
    }

    /// A refund of money alone.
    pub(crate) fn refund(&mut self, amount: i64) -> Result<(), &'static str> {
        if amount > self.left() || amount == 0 {
            return Err("REFUND_EXCEEDS_CAPTURED");
        }
        let points = i128::from(self.points.max(1));
        let left_of_points = i128::from(self.points_value) * i128::from(self.points - self.returned_points);
        let paid = i128::from(self.total - self.voided - self.refunded) * points + left_of_points;
        let rest = self.revenue() - self.returned_net;
        let all = i128::from(amount) * points >= paid;
        let part = || rounded(i128::from(rest) * i128::from(amount) * points, paid);
        self.returned_net += if all { rest } else { part() };
        self.refunded += amount;
        self.settle();
        Ok(())
    }

    pub(crate) fn cancel(&mut self) -> Result<(), &'static str> {
        match self.status {
            "CANCELLED" => Ok(()),
            "PENDING" | "CONFIRMED" => {
                self.status = "CANCELLED";
                self.refunded = self.captured;
                self.asked.iter_mut().for_each(|asked| asked.open = false);
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
            // What is void already stays so, whatever the order has become.
            _ if self.is_over() => Ok(()),
            "PROCESSING" | "SHIPPED" | "DELIVERED" if self.all_back() => {
                self.voided = self.total;
                self.settle();
                Ok(())
            }
            _ => self.cancel(),
        }
    }

    pub(crate) fn capture(&mut self) -> Result<(), &'static str> {
        if !self.waits() {
            return Err("INVALID_TRANSITION");
        }
        self.captured = self.due();
        Ok(())
    }

    /// The buyer does what the provider asks.
    pub(crate) fn confirm(&mut self) -> Result<(), &'static str> {
        match (self.way, self.status) {
            (Way::Action, "PENDING") => {
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
        let kept = |line: &Line, now: i64| line.shipped + now - (line.returned - line.withdrawn);
        let worth = |(line, now): (&Line, &i64)| share(line.total, line.quantity, line.returned, kept(line, *now));
        let (needed, _) = self.split(self.returned, self.lines.iter().zip(units).map(worth).sum());
        let on_delivery = self.way == Way::OnDelivery && self.waits();
        let secured = if on_delivery { self.due() } else { self.left() };
        if needed > secured && !confirm {
            return Err("UNPAID");
        }
        self.lines.iter_mut().zip(units).for_each(|(line, units)| line.shipped += units);
        self.settle();
        Ok(())
    }

    pub(crate) fn deliver(&mut self, at: usize) {
        let (_, units, arrived) = &mut self.parcels[at];
        if !std::mem::replace(arrived, true) {
            self.lines.iter_mut().zip(units.iter()).for_each(|(line, units)| line.delivered += units);
            self.settle();
        }
    }

    /// Where the order stands by its units and money.
    fn settle(&mut self) {
        if self.is_over() || self.status == "PENDING" {
            return;
        }
        let money_back = self.left() == 0 && !self.waits();
        if self.all_back() && money_back {
            self.status = "REFUNDED";
            return;
        }
        let sum = |part: fn(&Line) -> i64| self.lines.iter().map(part).sum::<i64>();
        let (to_ship, shipped, delivered) =
            (sum(|line| line.quantity - line.withdrawn), sum(|line| line.shipped), sum(|line| line.delivered));
        let stands = match (shipped, delivered) {
            (0, _) => "CONFIRMED",
            (_, done) if done == to_ship => "DELIVERED",
            (sent, _) if sent == to_ship => "SHIPPED",
            _ => "PROCESSING",
        };
        let rank =
            |status: &str| ["CONFIRMED", "PROCESSING", "SHIPPED", "DELIVERED"].iter().position(|item| *item == status);
        if rank(stands) > rank(self.status) {
            self.status = stands;
        }
    }

    /// Pieces of a line that are not in stock.
    pub(crate) fn out(&self, line: &Line) -> i64 {
        if self.status == "CANCELLED" { line.lost } else { line.quantity - line.returned + line.lost }
    }

    /// What the order has done to its buyer's points.
    pub(crate) fn points_moved(&self) -> i64 {
        match self.status {
            "CANCELLED" | "FAILED" => 0,
            "PENDING" => -self.points,
            _ => {
                let (earned, goods) = (i128::from(self.earned), self.goods());
                let gone = if self.returned >= goods {
                    self.earned
                } else {
                    rounded(earned * i128::from(self.returned), i128::from(goods))
                };
                -self.points + self.returned_points + self.earned - gone
            }
        }
    }
}
