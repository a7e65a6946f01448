//! Writing HTML: every text goes through [`escape`], and only here.

use crate::grid::{Grid, Side, Tone};

/// Rows from which on a table is folded up.
const MOST_OPEN_ROWS: usize = 30;

/// A piece of a page.
#[derive(Debug, Default)]
pub(crate) struct Html {
    text: String,
}

impl Html {
    /// The markup.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Markup as it is: for constants of ours and for figures, never for names.
    pub fn raw(&mut self, markup: &str) {
        self.text.push_str(markup);
        self.text.push('\n');
    }

    /// A heading of a level from 1 to 6.
    pub fn heading(&mut self, level: u8, text: &str) {
        self.raw(&format!("<h{level}>{}</h{level}>", escape(text)));
    }

    /// A paragraph of a class of ours.
    pub fn paragraph(&mut self, class: &str, text: &str) {
        self.raw(&format!("<p class=\"{class}\">{}</p>", escape(text)));
    }

    /// A list item that leads to `anchor` on the same page.
    pub fn link(&mut self, anchor: &str, text: &str) {
        self.raw(&format!("<li><a href=\"#{anchor}\">{}</a></li>", escape(text)));
    }

    /// A list of facts: what, and how much.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        self.raw("<dl>");
        for (what, how_much) in facts {
            self.raw(&format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(what), escape(how_much)));
        }
        self.raw("</dl>");
    }

    /// A drawn figure.
    pub fn figure(&mut self, svg: &str) {
        self.raw(&format!("<figure>{svg}</figure>"));
    }

    /// A table; wide ones scroll by themselves, so that the page does not.
    pub fn grid(&mut self, grid: &Grid) {
        self.raw("<div class=\"wide\"><table><thead><tr>");
        for column in &grid.columns {
            self.raw(&format!("<th{}>{}</th>", class_of(column.side), escape(column.heading)));
        }
        self.raw("</tr></thead><tbody>");
        for row in &grid.rows {
            let tone = match row.tone {
                Tone::Plain => "",
                Tone::Warning => " class=\"warning\"",
                Tone::Bad => " class=\"bad\"",
            };
            let cells = row.cells.iter().zip(&grid.columns);
            let cells =
                cells.map(|(cell, column)| format!("<td{}>{}</td>", class_of(column.side), escape(cell)));
            self.raw(&format!("<tr{tone}>{}</tr>", cells.collect::<String>()));
        }
        self.raw("</tbody></table></div>");
    }

    /// A table under a heading, folded up where it is long, left out where it is empty.
    pub fn folding_grid(&mut self, title: &str, grid: &Grid) {
        if grid.rows.is_empty() {
            return;
        }
        let open = if grid.rows.len() <= MOST_OPEN_ROWS { " open" } else { "" };
        let title = escape(title);
        self.raw(&format!("<details{open}><summary>{title} ({})</summary>", grid.rows.len()));
        self.grid(grid);
        self.raw("</details>");
    }
}

/// `text` with the five characters that mean something in HTML and XML spelt out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const fn class_of(side: Side) -> &'static str {
    match side {
        Side::Left => "",
        Side::Right => " class=\"number\"",
    }
}
