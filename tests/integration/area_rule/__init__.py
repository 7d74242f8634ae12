"""The area rule (辖区规则) over every route: a house with two towns, what each may see, and who looks for leaks."""
