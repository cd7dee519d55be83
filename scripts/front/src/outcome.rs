// SPDX-License-Identifier: GPL-2.0

//! Counting test results, and parsing the KTAP of the test programs.

/// The number of tests that passed and failed.
#[derive(Default)]
pub struct Outcome {
    passed: usize,
    failed: usize,
    /// If set, nothing is printed.
    quiet: bool,
    first_failure: Option<String>,
}

impl Outcome {
    /// Returns an outcome that prints nothing.
    pub fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }

    /// Prints a line, unless the outcome is quiet.
    pub fn print_line(&self, line: &str) {
        if !self.quiet {
            println!("{line}");
        }
    }

    fn add(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.first_failure.get_or_insert_with(|| name.to_owned());
        }
    }

    /// Adds tests that another process has printed.
    pub fn count(&mut self, passed: usize, failed: usize) {
        self.passed += passed;
        self.failed += failed;
    }

    /// Returns the name of the first test that failed.
    pub fn first_failure(&self) -> Option<String> {
        self.first_failure.clone()
    }

    /// Returns the number of tests that failed.
    pub fn failures(&self) -> usize {
        self.failed
    }

    /// Adds one test. Prints its name and `why` only if it failed.
    pub fn check(&mut self, name: &str, passed: bool, why: &str) {
        self.add(name, passed);
        if !passed {
            self.print_line(&format!("FAILED {name}: {why}"));
        }
    }

    /// Adds one test. Prints its name in both cases.
    pub fn report(&mut self, name: &str, passed: bool, why: &str) {
        if passed {
            self.print_line(&format!("ok     {name}"));
        }
        self.check(name, passed, why);
    }

    /// Adds the tests of `programs`, each a section of the guest's results.
    pub fn programs(&mut self, programs: &[String], results: &str) {
        for program in programs {
            let section = results
                .split("# program ")
                .find_map(|part| part.strip_prefix(program.as_str())?.strip_prefix('\n'));
            self.ktap(program, section.unwrap_or_default());
        }
    }

    /// Adds the tests in `text`. Prints each, and the diagnostic lines of those that failed.
    pub fn ktap(&mut self, suite: &str, text: &str) {
        let mut diagnostics = Vec::new();
        let mut plan = None;
        let mut count = 0;
        let mut seconds = 0.0;
        for line in text.lines() {
            if let Some(n) = line.strip_prefix("1..") {
                plan = n.parse().ok();
            } else if let Some((passed, name)) = result(line) {
                count += 1;
                let name = format!("{suite}: {name}");
                let verdict = if passed { "ok    " } else { "FAILED" };
                let time = match seconds >= SLOW {
                    true => format!(" ({seconds:.0} s)"),
                    false => String::new(),
                };
                self.print_line(&format!("{verdict} {name}{time}"));
                self.add(&name, passed);
                if !passed {
                    diagnostics
                        .iter()
                        .for_each(|line| self.print_line(&format!("         {line}")));
                }
                diagnostics.clear();
            } else if let Some(time) = line.strip_prefix(SECONDS) {
                seconds = time.parse().unwrap_or_default();
            } else if diagnostic(line).is_some() {
                diagnostics.push(line);
            }
        }
        let died = text.lines().find(|l| l.starts_with("# died: "));
        self.check(
            &format!("{suite}: did not die"),
            died.is_none(),
            died.unwrap_or_default(),
        );
        self.check(
            &format!("{suite}: all tests ran"),
            plan == Some(count) && count > 0,
            &format!("{count} results for a plan of {plan:?}"),
        );
    }

    /// Returns whether at least one test passed and none failed.
    pub fn success(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Returns `N passed, N failed`.
    pub fn summary(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }

    /// Prints `N passed, N failed`, the last line of the output.
    pub fn print(&self) {
        println!("{}", self.summary());
    }
}

/// The prefix of the line with the duration of the next result, in seconds.
const SECONDS: &str = "# seconds\t";

/// The duration from which on it is printed, in seconds.
const SLOW: f64 = 5.0;

/// The prefixes of comment lines that are data, not diagnostics of the next result.
const DATA: &[&str] = &["# fact\t", "# did\t", "# test\t", SECONDS];

/// Returns the text of a comment line that is a diagnostic of the next result.
pub fn diagnostic(line: &str) -> Option<&str> {
    let is_data = DATA.iter().any(|prefix| line.starts_with(prefix));
    line.strip_prefix("# ").filter(|_| !is_data)
}

/// Parses `ok 1 name` or `not ok 2 name`. A skipped test counts as failed, because the guest has
/// everything that the tests need.
pub fn result(line: &str) -> Option<(bool, &str)> {
    let (passed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, name) = rest.split_once(' ')?;
    number.parse::<usize>().ok()?;
    let name = name.trim_start_matches("- ");
    Some((passed && !name.contains("# SKIP"), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_counts_as_failed() {
        assert_eq!(result("ok 1 a"), Some((true, "a")));
        assert_eq!(
            result("ok 1 - a # SKIP no device"),
            Some((false, "a # SKIP no device"))
        );
        assert_eq!(result("not ok 2 b"), Some((false, "b")));
        assert_eq!(result("okay 2 b"), None);
    }

    #[test]
    fn data_is_no_diagnostic() {
        assert_eq!(diagnostic("# it has failed"), Some("it has failed"));
        assert_eq!(diagnostic("# test\ta"), None);
        assert_eq!(diagnostic("# seconds\t0.1"), None);
        assert_eq!(diagnostic("ok 1 a"), None);
    }

    #[test]
    fn a_missing_result_counts_as_failed() {
        let run = |text: &str| {
            let mut outcome = Outcome::quiet();
            outcome.programs(&["p".to_owned()], text);
            outcome.first_failure()
        };
        assert_eq!(run("# program p\nok 1 a\nok 2 b\n1..2\n"), None);
        assert_eq!(
            run("# program p\nok 1 a\n1..2\n").as_deref(),
            Some("p: all tests ran")
        );
        assert_eq!(
            run("# program q\nok 1 a\n1..1\n").as_deref(),
            Some("p: all tests ran")
        );
    }
}
