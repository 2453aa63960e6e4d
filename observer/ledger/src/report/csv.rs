//! A report for spreadsheets: a line for each row, no total.

use super::{Amounts, DECIMALS, Report};

impl Report {
    /// One head, then the rows; amounts with a point, whatever the reader's language.
    ///
    /// # Errors
    /// Never but for want of memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut heads: Vec<&str> = self.by.iter().map(String::as_str).collect();
        heads.extend([
            "wire_bytes_egress",
            "wire_bytes_ingress",
            "unpriced_bytes",
            "cost_estimate",
            "currency",
            "price_version",
        ]);
        if self.against.is_some() {
            heads.extend(["cost_estimate_against", "price_version_against"]);
        }
        writer.write_record(&heads)?;
        let amounts = Amounts::of(&self.priced, DECIMALS);
        let against = self
            .against
            .as_ref()
            .map(|(_, priced)| (priced, Amounts::of(priced, DECIMALS)));
        for (nth, (row, cost)) in self.priced.rows.iter().zip(&amounts.rows).enumerate() {
            let mut line: Vec<String> = row.values.iter().map(ToString::to_string).collect();
            line.truncate(self.by.len());
            line.extend(row.bytes.map(|bytes| bytes.to_string()));
            line.push(row.unpriced_bytes.to_string());
            line.push(cost.text(DECIMALS));
            line.extend([self.priced.currency.clone(), self.priced.version.clone()]);
            if let Some((priced, amounts)) = &against {
                let other = amounts.rows.get(nth).copied().unwrap_or_default();
                line.extend([other.text(DECIMALS), priced.version.clone()]);
            }
            writer.write_record(&line)?;
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
