//! Text in aligned columns.

/// Rows under a heading; the last column is as wide as its texts.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self {
            rows: vec![columns.map(ToOwned::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines, heading first. With `paint`, a cell is changed after it has been padded: colours take no room.
    pub(crate) fn render(&self, paint: impl Fn(usize, usize, &str) -> String) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                line.push_str(&paint(n, column, cell));
                if column + 1 < columns {
                    let gap = widths[column] - cell.chars().count() + 2;
                    line.extend(std::iter::repeat_n(' ', gap));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let mut table = Table::new(["NAME", "STATE", "WHY"]);
        table.row(["ä".into(), "failed".into(), "no space".into()]);
        table.row(["longer".into(), "ok".into(), String::new()]);
        assert_eq!(
            table.render(|_, _, cell| cell.to_owned()),
            "NAME    STATE   WHY\nä       failed  no space\nlonger  ok\n"
        );
    }

    #[test]
    fn colours_take_no_room() {
        let mut table = Table::new(["A", "B"]);
        table.row(["x".into(), "y".into()]);
        let painted = table.render(|row, column, cell| match (row, column) {
            (1, 0) => format!("<red>{cell}</red>"),
            _ => cell.to_owned(),
        });
        assert_eq!(painted, "A  B\n<red>x</red>  y\n");
    }
}
