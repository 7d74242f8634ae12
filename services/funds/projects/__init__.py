"""Projects (项目): applied for, reviewed, approved, and given money of funds that keeps its earmark."""
