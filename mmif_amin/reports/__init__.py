"""What a fused study is reported as: report.json, the page that shows it, figures."""
