"""Questions about a clip that follow from its annotations alone, and those that wait for a writer's text."""

from medgrpo.data.build.questions.draft import QuestionPolicy, draft_questions

__all__ = ["QuestionPolicy", "draft_questions"]
