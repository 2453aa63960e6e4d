//! One panel: what it asks, how it is drawn, and what a reader shall conclude from it. Knows no metric.

use serde_json::{Value, json};

/// Whatever is chosen as the variable `datasource`.
pub fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

pub struct Panel {
    pub title: &'static str,
    /// What to conclude from it.
    pub description: &'static str,
    pub width: u32,
    pub height: u32,
    pub unit: Unit,
    pub draw: Draw,
    pub queries: Vec<Query>,
    /// Colours from a value on, lowest first; none = the palette.
    pub steps: &'static [Step],
}

/// As Grafana names them. Decimal: 1 GB is 10^9 bytes, as on every surface of the product.
#[derive(Clone, Copy)]
pub enum Unit {
    Bytes,
    BytesPerSecond,
    Seconds,
    Share,
    Count,
    PerSecond,
}

/// A colour for values of `from` and above; `None` for all below the first.
#[derive(Clone, Copy)]
pub struct Step {
    pub from: Option<f64>,
    pub colour: &'static str,
}

pub enum Draw {
    /// The last value, large.
    Stat,
    /// As [`Draw::Stat`], 1 shown as the first word and 0 as the second.
    Words(&'static str, &'static str),
    Lines,
    /// Lines on top of each other, filled.
    Stack,
    /// One bar a series, of its last value.
    Bars,
    /// One row a combination of labels; query A's value is headed by the first word, B's by the second, ...
    Table(&'static [&'static str]),
    /// Of a histogram's buckets.
    Heatmap,
}

pub struct Query {
    pub expr: String,
    pub legend: &'static str,
    pub over: Over,
}

/// What is asked for: a curve, or the value at the range's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Time,
    End,
}

/// A curve.
pub fn curve(expr: impl Into<String>, legend: &'static str) -> Query {
    Query {
        expr: expr.into(),
        legend,
        over: Over::Time,
    }
}

/// The value at the range's end.
pub fn value(expr: impl Into<String>, legend: &'static str) -> Query {
    Query {
        expr: expr.into(),
        legend,
        over: Over::End,
    }
}

const REDUCE: &str = "lastNotNull";

impl Unit {
    const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "decbytes",
            Self::BytesPerSecond => "Bps",
            Self::Seconds => "s",
            Self::Share => "percentunit",
            Self::Count => "short",
            Self::PerSecond => "cps",
        }
    }
}

impl Panel {
    pub fn json(&self, id: u32, x: u32, y: u32) -> Value {
        json!({
            "id": id,
            "type": self.kind(),
            "title": self.title,
            "description": self.description,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "datasource": datasource(),
            "targets": self.targets(),
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "options": self.options(),
            "transformations": self.transformations(),
        })
    }

    const fn kind(&self) -> &'static str {
        match self.draw {
            Draw::Stat | Draw::Words(..) => "stat",
            Draw::Lines | Draw::Stack => "timeseries",
            Draw::Bars => "bargauge",
            Draw::Table(_) => "table",
            Draw::Heatmap => "heatmap",
        }
    }

    fn targets(&self) -> Vec<Value> {
        let format = match self.draw {
            Draw::Table(_) => "table",
            Draw::Heatmap => "heatmap",
            Draw::Stat | Draw::Words(..) | Draw::Lines | Draw::Stack | Draw::Bars => "time_series",
        };
        let letters = ('A'..='Z').map(String::from);
        self.queries
            .iter()
            .zip(letters)
            .map(|(query, letter)| {
                json!({
                    "refId": letter,
                    "datasource": datasource(),
                    "editorMode": "code",
                    "expr": query.expr,
                    "legendFormat": query.legend,
                    "format": format,
                    "instant": query.over == Over::End,
                    "range": query.over == Over::Time,
                })
            })
            .collect()
    }

    fn defaults(&self) -> Value {
        let mut defaults = json!({
            "unit": self.unit.word(),
            "color": {"mode": if self.steps.is_empty() { "palette-classic" } else { "thresholds" }},
            "thresholds": {"mode": "absolute", "steps": self.thresholds()},
            "mappings": self.mappings(),
            "custom": self.custom(),
        });
        // A count and a rate are never below 0; a balance is.
        if matches!(self.draw, Draw::Stack | Draw::Bars) {
            defaults["min"] = json!(0);
        }
        defaults
    }

    fn thresholds(&self) -> Vec<Value> {
        if self.steps.is_empty() {
            return vec![json!({"color": "green", "value": null})];
        }
        self.steps
            .iter()
            .map(|step| json!({"color": step.colour, "value": step.from}))
            .collect()
    }

    fn mappings(&self) -> Value {
        match self.draw {
            Draw::Words(one, zero) => json!([{
                "type": "value",
                "options": {"1": {"text": one, "index": 0}, "0": {"text": zero, "index": 1}},
            }]),
            Draw::Stat
            | Draw::Lines
            | Draw::Stack
            | Draw::Bars
            | Draw::Table(_)
            | Draw::Heatmap => json!([]),
        }
    }

    fn custom(&self) -> Value {
        match self.draw {
            Draw::Lines => json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "never", "spanNulls": false,
            }),
            Draw::Stack => json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 40, "showPoints": "never", "spanNulls": false,
                "stacking": {"mode": "normal", "group": "A"},
            }),
            Draw::Table(_) => json!({"align": "auto", "filterable": true}),
            Draw::Stat | Draw::Words(..) | Draw::Bars | Draw::Heatmap => json!({}),
        }
    }

    fn options(&self) -> Value {
        let reduce = json!({"calcs": [REDUCE], "fields": "", "values": false});
        match self.draw {
            Draw::Stat | Draw::Words(..) => json!({
                "reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
                "orientation": "auto", "textMode": "auto", "wideLayout": true,
            }),
            Draw::Lines | Draw::Stack => json!({
                "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["mean", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Draw::Bars => json!({
                "reduceOptions": reduce, "orientation": "horizontal", "displayMode": "basic", "valueMode": "color",
                "showUnfilled": true, "minVizHeight": 10, "minVizWidth": 0, "namePlacement": "auto", "sizing": "auto",
            }),
            Draw::Table(headings) => json!({
                "showHeader": true, "cellHeight": "sm",
                "sortBy": [{"displayName": headings.first(), "desc": true}],
            }),
            Draw::Heatmap => json!({
                "calculate": false, "cellGap": 1, "showValue": "never",
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "reverse": false},
                "yAxis": {"axisPlacement": "left", "unit": self.unit.word(), "reverse": false},
                "rowsFrame": {"layout": "auto"}, "legend": {"show": true},
                "tooltip": {"mode": "single", "yHistogram": false, "showColorScale": false},
                "filterValues": {"le": 1e-9}, "exemplars": {"color": "rgba(255,0,255,0.7)"},
            }),
        }
    }

    /// A table's queries side by side, the time of asking left out.
    fn transformations(&self) -> Value {
        let Draw::Table(headings) = self.draw else {
            return json!([]);
        };
        let names: serde_json::Map<String, Value> = match headings {
            [only] => std::iter::once(("Value".to_owned(), json!(only))).collect(),
            several => ('A'..='Z')
                .zip(several.iter())
                .map(|(letter, heading)| (format!("Value #{letter}"), json!(heading)))
                .collect(),
        };
        json!([
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {
                "excludeByName": {"Time": true}, "indexByName": {}, "includeByName": {}, "renameByName": names,
            }},
        ])
    }
}
