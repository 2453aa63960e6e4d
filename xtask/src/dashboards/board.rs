//! A dashboard as a whole: its variables, and rows of panels laid out one after the other in Grafana's 24 columns.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::panel::{Panel, datasource};

/// Of the dashboard's JSON model; Grafana brings older ones up to date when it imports them.
const SCHEMA: u32 = 39;
const COLUMNS: u32 = 24;

pub struct Board {
    /// Stays as it is: links and saved stars hold on to it.
    pub uid: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub variables: Vec<Variable>,
    pub rows: Vec<Row>,
}

/// A choice at the dashboard's top, over the values of a label.
pub struct Variable {
    pub name: &'static str,
    pub label: &'static str,
    /// `label_values(...)`
    pub query: &'static str,
}

pub struct Row {
    pub title: &'static str,
    pub panels: Vec<Panel>,
}

impl Board {
    /// The file's content.
    pub fn text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(&self.json())
            .with_context(|| format!("write the dashboard `{}` as JSON", self.uid))?;
        Ok(text + "\n")
    }

    fn json(&self) -> Value {
        json!({
            "id": null,
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["observer"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "",
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "links": [],
            "annotations": {"list": []},
            "templating": {"list": self.variables()},
            "panels": self.panels(),
        })
    }

    fn variables(&self) -> Vec<Value> {
        let source = json!({
            "name": "datasource",
            "label": "data source",
            "type": "datasource",
            "query": "prometheus",
            "refresh": 1,
            "regex": "",
            "hide": 0,
            "includeAll": false,
            "multi": false,
            "options": [],
            "current": {},
        });
        std::iter::once(source)
            .chain(self.variables.iter().map(Variable::json))
            .collect()
    }

    fn panels(&self) -> Vec<Value> {
        let mut panels = Vec::new();
        let mut id = 0;
        let mut top = 0;
        for row in &self.rows {
            id += 1;
            panels.push(json!({
                "id": id,
                "type": "row",
                "title": row.title,
                "collapsed": false,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            }));
            top += 1;
            let (mut left, mut height) = (0, 0);
            for panel in &row.panels {
                if left + panel.width > COLUMNS {
                    (left, top, height) = (0, top + height, 0);
                }
                id += 1;
                panels.push(panel.json(id, left, top));
                left += panel.width;
                height = height.max(panel.height);
            }
            top += height;
        }
        panels
    }
}

impl Variable {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": datasource(),
            "definition": self.query,
            "query": {"query": self.query, "refId": "variable"},
            // On each change of the time range: a host that is gone is offered for the time it was there.
            "refresh": 2,
            "sort": 1,
            "regex": "",
            "hide": 0,
            "multi": true,
            "includeAll": true,
            "allValue": ".*",
            "options": [],
            "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        })
    }
}
